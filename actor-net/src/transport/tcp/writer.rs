//! Writing: by the link's task, which may wait, and by senders, who may not.

use std::io::{self, IoSlice, Write};
use std::net::Shutdown;
use std::sync::{Mutex, PoisonError};

use rustls::Connection;
use socket2::SockRef;
use tokio::net::tcp::OwnedWriteHalf;

use super::outbox::{Batch, Work};
use super::{Shared, broken};
use crate::transport::link::LinkEnd;

/// Writes what is queued until the link is closed and all of it has gone out, goodbye included.
pub(super) async fn write(shared: &Shared) -> Result<(), LinkEnd> {
    let Some(held) = shared.outbox.writer() else {
        return Ok(());
    };
    let writer = held.tcp().map_err(|error| broken(&error))?;
    loop {
        match shared.outbox.work() {
            Work::Write(batch, sealed) => write_batches(shared, writer, batch, sealed).await?,
            Work::Wait => shared.outbox.woken().await,
            Work::Broken(error) => return Err(broken(&error)),
            Work::Goodbye => return say_goodbye(shared, writer).await,
        }
    }
}

/// Writes with the pen in hand until nothing waits.
async fn write_batches(
    shared: &Shared,
    writer: &OwnedWriteHalf,
    mut batch: Batch,
    mut sealed: bool,
) -> Result<(), LinkEnd> {
    for round in 1_u32.. {
        if !sealed {
            seal(shared, &mut batch).map_err(|error| broken(&error))?;
        }
        while !write_now(writer, &mut batch).map_err(|error| broken(&error))? {
            writer.writable().await.map_err(|error| broken(&error))?;
        }
        match shared.outbox.finish(batch) {
            Some(next) => (batch, sealed) = (next, false),
            None => return Ok(()),
        }
        // Reading is in the same task: senders who never stop must not stop it.
        if round.is_multiple_of(ROUNDS_MAX) {
            tokio::task::yield_now().await;
        }
    }
    Ok(())
}

/// Writes on the caller's thread, if nobody else writes: one batch, and no waiting.
pub(super) fn write_here(shared: &Shared) {
    let Some((mut batch, writer)) = shared.outbox.take_pen() else {
        return;
    };
    let written = seal(shared, &mut batch).and_then(|()| write_now(writer.tcp()?, &mut batch));
    match written {
        Ok(true) => shared.outbox.leave(batch),
        Ok(false) => shared.outbox.hand_over(batch, None),
        Err(error) => shared.outbox.hand_over(batch, Some(error)),
    }
}

/// Turns what was queued into what goes over the wire.
fn seal(shared: &Shared, batch: &mut Batch) -> io::Result<()> {
    let Some(tls) = &shared.tls else {
        return Ok(());
    };
    let mut sealed = shared.buffers.take_empty();
    {
        let mut tls = tls.lock().unwrap_or_else(PoisonError::into_inner);
        for plain in &batch.buffers {
            tls.writer().write_all(plain)?;
        }
        take_tls(&mut tls, &mut sealed)?;
    }
    let plain = batch.buffers.drain(..);
    plain.for_each(|buffer| shared.buffers.put_empty(buffer));
    batch.buffers.push_back(sealed);
    Ok(())
}

fn take_tls(tls: &mut Connection, into: &mut Vec<u8>) -> io::Result<()> {
    while tls.wants_write() {
        tls.write_tls(into)?;
    }
    Ok(())
}

/// As much as the kernel takes; whether that was all.
fn write_now(writer: &OwnedWriteHalf, batch: &mut Batch) -> io::Result<bool> {
    while let Some(first) = batch.buffers.front() {
        let rest = &first[batch.offset..];
        let written = if batch.buffers.len() == 1 {
            if rest.is_empty() {
                return Ok(true);
            }
            writer.try_write(rest)
        } else {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            slices[0] = IoSlice::new(rest);
            let others = batch.buffers.iter().skip(1);
            let mut used = 1;
            for (slice, buffer) in slices[1..].iter_mut().zip(others) {
                *slice = IoSlice::new(buffer);
                used += 1;
            }
            writer.try_write_vectored(&slices[..used])
        };
        match written {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => {
                batch.writes += 1;
                if advance(batch, n) {
                    return Ok(true);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// Past `n` written bytes; whether nothing is left. The last buffer stays, to be used again.
fn advance(batch: &mut Batch, n: usize) -> bool {
    batch.offset += n;
    while let Some(first) = batch.buffers.front() {
        if batch.offset < first.len() {
            return false;
        }
        if batch.buffers.len() == 1 {
            return true;
        }
        batch.offset -= first.len();
        batch.buffers.pop_front();
    }
    true
}

async fn say_goodbye(shared: &Shared, writer: &OwnedWriteHalf) -> Result<(), LinkEnd> {
    let goodbye = shared.tls.as_ref().map(goodbye).transpose();
    let mut rest = &goodbye.map_err(|error| broken(&error))?.unwrap_or_default()[..];
    while !rest.is_empty() {
        match writer.try_write(rest) {
            Ok(n) => rest = &rest[n..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                writer.writable().await.map_err(|error| broken(&error))?;
            }
            Err(error) => return Err(broken(&error)),
        }
    }
    match SockRef::from(writer.as_ref()).shutdown(Shutdown::Write) {
        // The peer was faster.
        Err(error) if error.kind() != io::ErrorKind::NotConnected => Err(broken(&error)),
        _ => Ok(()),
    }
}

fn goodbye(tls: &Mutex<Connection>) -> io::Result<Vec<u8>> {
    let mut tls = tls.lock().unwrap_or_else(PoisonError::into_inner);
    tls.send_close_notify();
    let mut bytes = Vec::new();
    take_tls(&mut tls, &mut bytes)?;
    Ok(bytes)
}

/// How many buffers one system call writes; a batch has four full ones, or more that are less full.
const SLICES_MAX: usize = 16;

/// After how many batches in a row the other half of the task has its turn.
const ROUNDS_MAX: u32 = 16;
