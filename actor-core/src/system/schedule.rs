//! Recording what the workers do. The values are in `telemetry::schedule`, the notes in
//! `scheduler::recorder`.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::SystemRef;
use crate::cell::{Local, Runtime};
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::telemetry::{RecordError, ScheduleOptions, ScheduleRecording};

/// Between two looks whether somebody still waits for the recording.
const LOOK_EVERY: Duration = Duration::from_millis(50);

impl SystemRef {
    /// Records what the workers do for that long: turns, thefts, sleeps, wake-ups, stalls, spares.
    ///
    /// One recording at a time. It ends early when the system ends. While it runs a turn costs some 0.1 us
    /// more; otherwise nothing. Options are a [`Duration`], or [`ScheduleOptions`] with limits. A thread waits
    /// meanwhile, so this future needs no runtime.
    ///
    /// # Errors
    ///
    /// [`RecordError`]; above all `AlreadyRunning`.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it ends the recording within 50 ms, and what was recorded is gone.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use actor_core::prelude::*;
    ///
    /// let system = ActorSystem::new()?;
    /// let recording = system.block_on(system.record_schedule(Duration::from_millis(10)))?;
    /// println!("{recording}");
    /// let mut trace = Vec::new();
    /// recording.write_chrome_trace(&mut trace)?; // for https://ui.perfetto.dev
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn record_schedule(
        &self,
        options: impl Into<ScheduleOptions>,
    ) -> impl Future<Output = Result<ScheduleRecording, RecordError>> + Send + 'static {
        let (system, options) = (*self, options.into());
        async move {
            let recorder = system.start_schedule_recording(options)?;
            let wanted = Wanted::default();
            let (tell, told) = tokio::sync::oneshot::channel();
            let stop = Arc::clone(&wanted.0);
            let wait = move || {
                recorder.wait(options.duration(), &stop);
                // Nobody may be there any more.
                let _ = tell.send(recorder.finish());
            };
            std::thread::Builder::new()
                .name("actor-recorder".to_owned())
                .spawn(wait)
                .map_err(|error| RecordError::NoThread(error.kind()))?;
            // The thread says something at its end, and does not panic.
            told.await
                .map_err(|_| RecordError::NoThread(std::io::ErrorKind::Other))
        }
    }

    /// As [`record_schedule`](Self::record_schedule), and the calling thread waits.
    ///
    /// # Errors
    ///
    /// [`RecordError`]; on a worker [`RecordError::OnWorker`].
    pub fn record_schedule_blocking(
        &self,
        options: impl Into<ScheduleOptions>,
    ) -> Result<ScheduleRecording, RecordError> {
        if Local::current().is_some() {
            return Err(RecordError::OnWorker);
        }
        let options = options.into();
        let recorder = self.start_schedule_recording(options)?;
        recorder.wait(options.duration(), &AtomicBool::new(false));
        Ok(recorder.finish())
    }

    /// Begins a recording that goes on until it is [finished](ScheduleRecorder::finish) or dropped: to look at
    /// one piece of a program. The duration in `options` is not heeded, the other limits are.
    ///
    /// # Errors
    ///
    /// [`RecordError`]; above all `AlreadyRunning`.
    ///
    /// # Examples
    ///
    /// ```
    /// use actor_core::{ScheduleOptions, prelude::*};
    ///
    /// let system = ActorSystem::new()?;
    /// let recorder = system.start_schedule_recording(ScheduleOptions::default())?;
    /// // ... what is to be looked at ...
    /// let recording = recorder.finish();
    /// println!("{} turns", recording.totals().turns);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn start_schedule_recording(
        &self,
        options: impl Into<ScheduleOptions>,
    ) -> Result<ScheduleRecorder, RecordError> {
        let options = options.into();
        options.check()?;
        let scheduler = self.runtime.scheduler();
        if scheduler.workers() == 0 {
            return Err(RecordError::NoWorkers);
        }
        let started = SystemTime::now();
        if !scheduler.begin_recording(options.room()) {
            return Err(RecordError::AlreadyRunning);
        }
        Ok(ScheduleRecorder {
            runtime: self.runtime,
            started,
            is_over: false,
        })
    }
}

/// A recording that runs; see [`SystemRef::start_schedule_recording`]. Dropped, it ends and is gone.
#[must_use = "a recorder that is dropped ends its recording"]
pub struct ScheduleRecorder {
    runtime: &'static Runtime,
    started: SystemTime,
    /// Finished: what runs now is another's.
    is_over: bool,
}

impl ScheduleRecorder {
    /// Ends the recording.
    ///
    /// Turns that go on are in it, without an end.
    pub fn finish(mut self) -> ScheduleRecording {
        // Before it is taken: the next may begin at once.
        self.is_over = true;
        let recording = self.runtime.scheduler().finish_recording();
        let recording = recording.expect("runs until its recorder is gone");
        ScheduleRecording::new(self.runtime, self.started, recording)
    }

    /// Waits until the time is over, the system has ended, or nobody wants it.
    fn wait(&self, duration: Duration, stop: &AtomicBool) {
        let began = Instant::now();
        loop {
            let left = duration.saturating_sub(began.elapsed());
            if left.is_zero()
                || stop.load(Ordering::Relaxed)
                || self.runtime.ended().wait(left.min(LOOK_EVERY))
            {
                return;
            }
        }
    }
}

impl Drop for ScheduleRecorder {
    fn drop(&mut self) {
        if !self.is_over {
            drop(self.runtime.scheduler().finish_recording());
        }
    }
}

impl fmt::Debug for ScheduleRecorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScheduleRecorder")
            .field("started", &self.started)
            .finish_non_exhaustive()
    }
}

/// Dropped with the future, so that the thread stops to wait.
#[derive(Default)]
struct Wanted(Arc<AtomicBool>);

impl Drop for Wanted {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
