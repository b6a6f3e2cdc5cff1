//! Something slow to call: a bank on a loopback socket that takes 1 to 5 ms per payment.
//!
//! A line `<order id> <cents>` is answered by a line with the receipt. The order id is the idempotency
//! key: the same payment gets the same receipt, so that paying again after a failure charges nobody twice.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Opens the bank on a free port; it runs until its tokio runtime ends.
pub(crate) async fn open() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((customer, _)) => _ = tokio::spawn(serve(customer)),
                Err(error) => {
                    eprintln!("bank: {error}");
                    // Out of file descriptors, most likely: let some be closed.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    });
    Ok(address)
}

async fn serve(mut customer: TcpStream) -> io::Result<()> {
    customer.set_nodelay(true)?;
    let (reader, mut writer) = customer.split();
    let mut lines = BufReader::new(reader).lines();
    while let Some(payment) = lines.next_line().await? {
        let mut hasher = DefaultHasher::new();
        payment.hash(&mut hasher);
        let receipt = hasher.finish();
        tokio::time::sleep(Duration::from_micros(1000 + receipt % 4000)).await;
        writer
            .write_all(format!("R{receipt:016x}\n").as_bytes())
            .await?;
    }
    Ok(())
}
