use std::time::Duration;

use super::*;

/// One test, not three: a signal reaches every listener of the process.
#[test]
fn reports_each_signal_and_misses_none_between_two_calls() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut signals = Termination::listen().unwrap();
        raise(libc::SIGTERM);
        assert_eq!(soon(signals.next()).await.unwrap(), OsSignal::Terminate);
        // Nobody waits just now.
        raise(libc::SIGINT);
        tokio::task::yield_now().await;
        assert_eq!(soon(signals.next()).await.unwrap(), OsSignal::Interrupt);

        let waiting = tokio::spawn(termination());
        tokio::task::yield_now().await;
        raise(libc::SIGTERM);
        let found = soon(waiting).await.unwrap();
        assert_eq!(found.unwrap(), OsSignal::Terminate);
    });
}

#[test]
fn without_a_runtime_it_is_an_error() {
    let error = Termination::listen().unwrap_err();
    assert!(error.to_string().contains("tokio runtime"), "{error}");
}

#[test]
fn signals_print_as_operators_know_them() {
    assert_eq!(OsSignal::Terminate.to_string(), "SIGTERM");
    assert_eq!(OsSignal::Interrupt.to_string(), "SIGINT (Ctrl-C)");
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future)
        .await
        .expect("the signal is reported")
}

fn raise(signal: libc::c_int) {
    // SAFETY: `raise` touches no memory of ours; the handlers are installed, so the process stays.
    assert_eq!(unsafe { libc::raise(signal) }, 0);
}
