//! The machine's clocks. Every process that shares a SQLite file runs on one machine, so the clock of that machine's
//! *boot* can decide when a lease is over: no process can set it, and it does not step when the wall clock does.

use std::fmt::Debug;

/// The clocks of the machine. A parameter, so that tests can turn them.
pub trait Clock: Send + Sync + Debug {
    /// Names this boot of the machine: another name means that every holder of before is dead.
    fn boot_id(&self) -> String;

    /// Time since boot in microseconds, sleep of the machine included. Never goes back within a boot.
    fn since_boot_us(&self) -> i64;

    /// Wall clock in microseconds since 1970. Only tells when the boot began, for timestamps that people read.
    fn wall_us(&self) -> i64;
}

/// The real clocks: `CLOCK_BOOTTIME` and the kernel's boot id on Linux; elsewhere the wall clock for both.
///
/// On Linux the time is asked of the kernel without the C library between, so that tools which fake the time of one
/// process by preloading a library (faketime) do not make its leases differ from those of the others.
#[derive(Debug, Clone)]
pub struct SystemClock {
    boot_id: Option<String>,
}

impl SystemClock {
    /// The clocks of this machine.
    pub fn new() -> Self {
        Self { boot_id: system::boot_id() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn boot_id(&self) -> String {
        self.boot_id.clone().unwrap_or_else(|| "wall-clock".to_string())
    }

    fn since_boot_us(&self) -> i64 {
        // Without a boot id two boots could not be told apart, and only the wall clock goes on across them.
        if self.boot_id.is_some() { system::boottime_us() } else { system::wall_us() }
    }

    fn wall_us(&self) -> i64 {
        system::wall_us()
    }
}

#[cfg(target_os = "linux")]
mod system {
    use rustix::time::{ClockId, clock_gettime};

    pub(super) fn boot_id() -> Option<String> {
        let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        Some(id.trim().to_string()).filter(|id| !id.is_empty())
    }

    pub(super) fn boottime_us() -> i64 {
        micros(ClockId::Boottime)
    }

    pub(super) fn wall_us() -> i64 {
        micros(ClockId::Realtime)
    }

    fn micros(clock: ClockId) -> i64 {
        let time = clock_gettime(clock);
        time.tv_sec * 1_000_000 + time.tv_nsec / 1_000
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::time::SystemTime;

    pub(super) fn boot_id() -> Option<String> {
        None
    }

    pub(super) fn boottime_us() -> i64 {
        wall_us()
    }

    pub(super) fn wall_us() -> i64 {
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since_1970.as_micros()).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boot_clock_goes_on_and_the_wall_clock_is_of_this_century() {
        let clock = SystemClock::new();
        let before = clock.since_boot_us();
        std::thread::sleep(std::time::Duration::from_millis(5));
        let passed = clock.since_boot_us() - before;
        assert!((5_000..5_000_000).contains(&passed), "{passed} us passed in 5 ms");
        assert!(clock.wall_us() > 1_700_000_000_000_000);
        assert_eq!(clock.boot_id(), SystemClock::new().boot_id());
    }
}
