//! Threads of a rank. Each thread works on the same virtual process during the whole run.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::base::error::{Error, Result};
use crate::base::memory::{left_to_process, show_size};
use crate::base::per_thread::PerThread;

/// Stack size of a thread (bytes): Rust's default.
const STACK: usize = 2 << 20;
/// Address space of a thread (bytes): its stack and 64 KiB of overhead.
const THREAD: u64 = STACK as u64 + (64 << 10);

/// Threads that run a phase on all virtual processes of a rank.
///
/// The calling thread runs the first virtual process. It alone may call MPI, and it does not sleep
/// between phases.
pub struct Team {
    workers: Option<ThreadPool>,
    size: usize,
    /// Number of phases begun. Idle threads poll it for the next phase.
    phase: Arc<AtomicUsize>,
}

impl Team {
    /// Starts the threads of rank `rank`. `threads` includes the calling thread.
    ///
    /// # Errors
    /// Fails if the system refuses the threads, or the limit on address space (`ulimit -v`) is too
    /// low for their stacks.
    pub fn new(threads: usize, rank: u32) -> Result<Self> {
        let refuse = |why: String| {
            Error::run(format!(
                "rank {rank}: cannot start {threads} threads: {why}; set simulation.threads or \
                 --threads to fewer"
            ))
        };
        let needed = threads as u64 * THREAD;
        if let Some(left) = left_to_process().filter(|left| *left < needed) {
            let [left, needed] = [left, needed].map(show_size);
            return Err(refuse(format!(
                "they take {needed} of addresses, the limit on this process (ulimit -v) leaves \
                 {left}"
            )));
        }
        let workers = match threads {
            1 => None,
            _ => Some(
                ThreadPoolBuilder::new()
                    .num_threads(threads - 1)
                    .stack_size(STACK)
                    .thread_name(|worker| format!("vp-{}", worker + 1))
                    .build()
                    .map_err(|error| refuse(error.to_string()))?,
            ),
        };
        Ok(Team {
            workers,
            size: threads,
            phase: Arc::default(),
        })
    }

    /// Calls `work(thread, item)` on all threads at the same time, each with its item of `state`.
    /// Returns when all threads are done.
    ///
    /// # Panics
    /// Panics if `state` does not have one item per thread.
    pub fn each<T: Send>(&self, state: &PerThread<T>, work: impl Fn(usize, &mut T) + Sync) {
        assert_eq!(state.len(), self.size);
        let run = |thread: usize| work(thread, &mut state.lock(thread));
        let Some(workers) = &self.workers else {
            return run(0);
        };
        let busy = AtomicUsize::new(self.size - 1);
        workers.in_place_scope(|scope| {
            scope.spawn_broadcast(|_, context| {
                run(context.index() + 1);
                busy.fetch_sub(1, Ordering::Release);
            });
            self.phase.fetch_add(1, Ordering::Release);
            run(0);
            // Threads have nearly equal work, so the others finish soon.
            wait(Duration::MAX, || busy.load(Ordering::Acquire) == 0);
        });
        // Waking a thread takes as long as a phase of a small network. Threads therefore stay awake
        // for the next phase.
        let (phase, now) = (Arc::clone(&self.phase), self.phase.load(Ordering::Relaxed));
        workers.spawn_broadcast(move |_| {
            wait(AWAKE, || phase.load(Ordering::Acquire) != now);
        });
    }

    /// Calls `work(thread)` on all threads at the same time; returns the results, ordered by
    /// thread.
    pub fn map<T: Send>(&self, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
        self.map_items(vec![(); self.size], |thread, ()| work(thread))
    }

    /// Calls `work(thread, item)` on all threads at the same time, each with its item of `items`;
    /// returns the results, ordered by thread.
    pub fn map_items<I: Send, T: Send>(
        &self,
        items: Vec<I>,
        work: impl Fn(usize, I) -> T + Sync,
    ) -> Vec<T> {
        let state: PerThread<_> = items.into_iter().map(|item| (Some(item), None)).collect();
        self.each(&state, |thread, (item, result)| {
            *result = item.take().map(|item| work(thread, item));
        });
        let results = state.into_items().map(|(_, result)| result);
        results
            .map(|result| result.expect("every thread has run"))
            .collect()
    }
}

/// Time for which an idle thread polls for the next phase before it sleeps.
const AWAKE: Duration = Duration::from_millis(2);

/// Waits until `done` returns true, or for about `longest`. Spins, and yields the core to other
/// threads after every 64 checks.
fn wait(longest: Duration, done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !done() && begun.elapsed() < longest {
        for _ in 0..64 {
            if done() {
                return;
            }
            std::hint::spin_loop();
        }
        std::thread::yield_now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_thread_has_its_own() {
        for threads in [1, 2, 5] {
            let team = Team::new(threads, 0).unwrap();
            let state: PerThread<usize> = (0..threads).collect();
            for _ in 0..100 {
                team.each(&state, |thread, value| *value += thread);
            }
            let values: Vec<usize> = state.into_items().collect();
            assert_eq!(values, (0..threads).map(|t| 101 * t).collect::<Vec<_>>());
            assert_eq!(team.map(|thread| thread), (0..threads).collect::<Vec<_>>());
        }
    }
}
