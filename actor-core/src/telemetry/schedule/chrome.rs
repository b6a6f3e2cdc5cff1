//! A recording in the trace event format of Chrome, which Perfetto reads too.
//!
//! | in the trace | is |
//! |---|---|
//! | process | a NUMA node; one more for threads that take no turns |
//! | thread | a worker, a spare, the thread of one actor |
//! | complete event (`X`) | a turn, a sleep, a shift, a wake-up |
//! | instant event (`i`) | a theft, a stall |
//! | flow (`s`, `f`) | from a wake-up to what the woken worker did next |
//! | counter (`C`) | tasks in a worker's queue, and in that of its NUMA node |
//!
//! Times are in microseconds, with three digits behind the point. The format: "Trace Event Format", Google,
//! docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU. A flow's end without `bp`
//! belongs to the next slice of its thread, which is the turn that the wake-up was for.

use std::io::{self, Write};

use super::links::From;
use super::{ScheduleRecording, ThreadRole, ThreadSchedule};
use crate::id::NumaNodeId;
use crate::scheduler::{Noted, OPEN, What};

impl ScheduleRecording {
    /// Writes the recording in the Chrome trace event format (JSON), which <https://ui.perfetto.dev> and
    /// `chrome://tracing` open: a track per worker, grouped by NUMA node, arrows for wake-ups, and counters
    /// for the lengths of the queues.
    ///
    /// About 200 bytes per turn. A buffered writer is a good idea.
    ///
    /// # Errors
    ///
    /// Those of the writer.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use std::{fs::File, io::BufWriter, time::Duration};
    /// use actor_core::prelude::*;
    ///
    /// let system = ActorSystem::new()?;
    /// let recording = system.record_schedule_blocking(Duration::from_secs(2))?;
    /// recording.write_chrome_trace(&mut BufWriter::new(File::create("schedule.json")?))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn write_chrome_trace(&self, out: &mut impl Write) -> io::Result<()> {
        let mut events = Events { out, first: true };
        write!(
            events.out,
            "{{\"displayTimeUnit\":\"ns\",\"otherData\":{{\"started_unix_ns\":\"{}\",\"lasted_ns\":\"{}\",\
             \"whole_until_ns\":\"{}\",\"dropped_events\":\"{}\"}},\"traceEvents\":[",
            self.started
                .duration_since(std::time::UNIX_EPOCH)
                .unwrap_or_default()
                .as_nanos(),
            self.lasted,
            self.whole_until,
            self.dropped()
        )?;
        self.write_names(&mut events)?;
        for thread in &self.threads {
            self.write_thread(thread, &mut events)?;
        }
        for noted in &self.outside {
            if let What::Wake { woken, thread } = noted.what {
                events.slice(OUTSIDE, thread, noted, self.lasted, |out| {
                    write!(out, "\"name\":\"wake {woken}\",\"cat\":\"wake\"")
                })?;
            }
        }
        self.write_flows(&mut events)?;
        events.out.write_all(b"\n]}\n")?;
        events.out.flush()
    }

    fn write_names(&self, events: &mut Events<'_, impl Write>) -> io::Result<()> {
        for node in &self.numa_nodes {
            let pid = pid(*node);
            events.meta("process_name", pid, 0, &node.to_string())?;
        }
        for thread in &self.threads {
            let name = match thread.role {
                ThreadRole::Worker => thread.worker.to_string(),
                ThreadRole::Spare => format!("{} (spare)", thread.worker),
                ThreadRole::Dedicated => format!("{} (one actor)", thread.worker),
            };
            events.meta("thread_name", pid(thread.numa_node), tid(thread), &name)?;
            events.sort(pid(thread.numa_node), tid(thread))?;
        }
        let mut others: Vec<u32> = self.outside_wakes().map(|wake| wake.thread).collect();
        others.sort_unstable();
        others.dedup();
        if !others.is_empty() {
            events.meta("process_name", OUTSIDE, 0, "other threads")?;
        }
        for other in others {
            events.meta("thread_name", OUTSIDE, other, &format!("thread {other}"))?;
        }
        Ok(())
    }

    fn write_thread(
        &self,
        thread: &ThreadSchedule,
        events: &mut Events<'_, impl Write>,
    ) -> io::Result<()> {
        let (pid, tid, worker) = (pid(thread.numa_node), tid(thread), thread.worker);
        let (mut queued_before, mut injector_before) = (None, None);
        for noted in &thread.events {
            match noted.what {
                What::Turn {
                    actor,
                    actor_type,
                    messages,
                    queued,
                    injector,
                } => {
                    events.slice(pid, tid, noted, self.lasted, |out| {
                        out.write_all(b"\"cat\":\"turn\",\"name\":")?;
                        text(out, short(actor_type))?;
                        out.write_all(b",\"args\":{\"type\":")?;
                        text(out, actor_type)?;
                        write!(out, ",\"actor\":\"{actor}\",\"messages\":{messages}")?;
                        if noted.ended == OPEN {
                            out.write_all(b",\"unfinished\":true")?;
                        }
                        out.write_all(b"}")
                    })?;
                    if queued_before.replace(queued) != Some(queued) {
                        let name = format!("queue of {worker}");
                        events.counter(pid, &name, noted.at, queued)?;
                    }
                    if injector_before.replace(injector) != Some(injector) {
                        events.counter(pid, "queue of all", noted.at, injector)?;
                    }
                }
                What::Park { woken_by, .. } => {
                    events.slice(pid, tid, noted, self.lasted, |out| {
                        out.write_all(b"\"name\":\"asleep\",\"cat\":\"park\"")?;
                        match woken_by {
                            Some(super::WokenBy::Worker(by)) => {
                                write!(out, ",\"args\":{{\"woken_by\":\"{by}\"}}")
                            }
                            Some(super::WokenBy::Outside) => {
                                write!(out, ",\"args\":{{\"woken_by\":\"another thread\"}}")
                            }
                            None => Ok(()),
                        }
                    })?;
                }
                What::Wake { woken, .. } => events.slice(pid, tid, noted, self.lasted, |out| {
                    write!(out, "\"name\":\"wake {woken}\",\"cat\":\"wake\"")
                })?,
                What::Shift => events.slice(pid, tid, noted, self.lasted, |out| {
                    out.write_all(b"\"name\":\"on duty\",\"cat\":\"spare\"")
                })?,
                What::Steal {
                    from,
                    numa_index,
                    tasks,
                    far,
                } => {
                    let node = self.numa_nodes[usize::from(numa_index)];
                    let from =
                        from.map_or_else(|| "the queue of all".to_owned(), |it| it.to_string());
                    let name = if far { "steal far" } else { "steal near" };
                    events.instant(pid, tid, noted, |out| {
                        write!(
                            out,
                            "\"name\":\"{name}\",\"cat\":\"steal\",\"args\":{{\"from\":\"{from}\",\
                             \"numa_node\":\"{node}\",\"actors\":{tasks}}}"
                        )
                    })?;
                }
                What::Stall { over } => {
                    let name = if over {
                        "stall is over"
                    } else {
                        "stall noticed"
                    };
                    events.instant(pid, tid, noted, |out| {
                        write!(out, "\"name\":\"{name}\",\"cat\":\"stall\"")
                    })?;
                }
            }
        }
        Ok(())
    }

    fn write_flows(&self, events: &mut Events<'_, impl Write>) -> io::Result<()> {
        for (id, link) in self.links.iter().enumerate() {
            let (from_pid, from_tid) = match link.waker {
                From::Thread(index) => {
                    let waker = &self.threads[index];
                    (pid(waker.numa_node), tid(waker))
                }
                From::Outside(thread) => (OUTSIDE, thread),
            };
            let woken = &self.threads[link.woken];
            let steps = [
                ('s', from_pid, from_tid, link.woke_at),
                ('f', pid(woken.numa_node), tid(woken), link.woken_at),
            ];
            for (phase, pid, tid, at) in steps {
                events.begin()?;
                write!(
                    events.out,
                    "{{\"ph\":\"{phase}\",\"id\":{id},\"name\":\"wake\",\"cat\":\"wake\",\"pid\":{pid},\
                     \"tid\":{tid},\"ts\":{}}}",
                    Micros(at)
                )?;
            }
        }
        Ok(())
    }
}

/// The array of events: knows where a comma goes.
struct Events<'a, W> {
    out: &'a mut W,
    first: bool,
}

impl<W: Write> Events<'_, W> {
    fn begin(&mut self) -> io::Result<()> {
        let separator: &[u8] = if std::mem::take(&mut self.first) {
            b"\n"
        } else {
            b",\n"
        };
        self.out.write_all(separator)
    }

    fn meta(&mut self, what: &str, pid: u32, tid: u32, name: &str) -> io::Result<()> {
        self.begin()?;
        write!(
            self.out,
            "{{\"ph\":\"M\",\"name\":\"{what}\",\"pid\":{pid},\"tid\":{tid},\"args\":{{\"name\":"
        )?;
        text(self.out, name)?;
        self.out.write_all(b"}}")
    }

    fn sort(&mut self, pid: u32, tid: u32) -> io::Result<()> {
        self.begin()?;
        write!(
            self.out,
            "{{\"ph\":\"M\",\"name\":\"thread_sort_index\",\"pid\":{pid},\"tid\":{tid},\"args\":\
             {{\"sort_index\":{tid}}}}}"
        )
    }

    fn slice(
        &mut self,
        pid: u32,
        tid: u32,
        noted: &Noted,
        lasted: u64,
        rest: impl FnOnce(&mut W) -> io::Result<()>,
    ) -> io::Result<()> {
        self.begin()?;
        // What went on at the end is drawn up to there.
        let took = noted.ended.min(lasted).saturating_sub(noted.at);
        write!(
            self.out,
            "{{\"ph\":\"X\",\"pid\":{pid},\"tid\":{tid},\"ts\":{},\"dur\":{},",
            Micros(noted.at),
            Micros(took)
        )?;
        rest(self.out)?;
        self.out.write_all(b"}")
    }

    fn instant(
        &mut self,
        pid: u32,
        tid: u32,
        noted: &Noted,
        rest: impl FnOnce(&mut W) -> io::Result<()>,
    ) -> io::Result<()> {
        self.begin()?;
        write!(
            self.out,
            "{{\"ph\":\"i\",\"s\":\"t\",\"pid\":{pid},\"tid\":{tid},\"ts\":{},",
            Micros(noted.at)
        )?;
        rest(self.out)?;
        self.out.write_all(b"}")
    }

    fn counter(&mut self, pid: u32, name: &str, at: u64, value: u32) -> io::Result<()> {
        self.begin()?;
        write!(
            self.out,
            "{{\"ph\":\"C\",\"pid\":{pid},\"tid\":0,\"name\":\"{name}\",\"ts\":{},\"args\":{{\"actors\":{value}}}}}",
            Micros(at)
        )
    }
}

/// Nanoseconds, as microseconds.
struct Micros(u64);

impl std::fmt::Display for Micros {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1000, self.0 % 1000)
    }
}

/// A JSON string: names of types may have quotes in them (`Wire<'"'>`).
fn text(out: &mut impl Write, text: &str) -> io::Result<()> {
    out.write_all(b"\"")?;
    for character in text.chars() {
        match character {
            '"' | '\\' => write!(out, "\\{character}")?,
            '\0'..'\u{20}' => write!(out, "\\u{:04x}", u32::from(character))?,
            _ => write!(out, "{character}")?,
        }
    }
    out.write_all(b"\"")
}

/// A type's name without the path to it; what stands between `<` and `>` stays as it is.
pub(super) fn short(name: &str) -> &str {
    let head = name.find('<').unwrap_or(name.len());
    name[..head].rfind("::").map_or(name, |at| &name[at + 2..])
}

/// Process 0 is the idle task to some readers.
fn pid(node: NumaNodeId) -> u32 {
    u32::from(node.0) + 1
}

fn tid(thread: &ThreadSchedule) -> u32 {
    u32::from(thread.worker.0) + 1
}

/// The process of threads that take no turns: behind all NUMA nodes (256 at most).
const OUTSIDE: u32 = 1000;
