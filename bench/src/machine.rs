//! What the figures were measured on: without it they mean nothing.

use std::fs;
use std::num::NonZero;
use std::thread;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::Failure;
use crate::gaps;

/// Where and from what a run was made.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    /// Those that this process may use.
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    /// How the frequency is chosen; `None` where the system doesn't say, as in most virtual machines.
    pub(crate) governor: Option<String>,
    pub(crate) rustc: String,
    /// With `-dirty` behind it, if the sources differed from it.
    pub(crate) commit: String,
    pub(crate) arch: String,
    pub(crate) gap_meter: GapMeter,
}

/// What the [gap meter](gaps) found before the first cell.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct GapMeter {
    pub(crate) seconds: f64,
    pub(crate) p50_ns: u64,
    pub(crate) p99_ns: u64,
    pub(crate) p999_ns: u64,
    pub(crate) max_ns: u64,
    /// The share of the time that was spent in gaps of more than 5 µs: 0 to 1.
    pub(crate) share_above_5us: f64,
    #[serde(skip)]
    pub(crate) gaps: Histogram<u64>,
}

const LONG_GAP_NS: u64 = 5_000;

impl Machine {
    /// Looks at the machine, and meters its gaps for `metered`.
    ///
    /// # Errors
    ///
    /// When there can be no thread for the meter.
    pub(crate) fn look(metered: Duration) -> Result<Self, Failure> {
        let gaps = gaps::on_last_core(metered)?;
        Ok(Self {
            cpu: cpu(),
            cores: thread::available_parallelism().map_or(1, NonZero::get),
            kernel: kernel(),
            governor: line_of("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
            rustc: env!("BENCH_RUSTC").to_owned(),
            commit: env!("BENCH_COMMIT").to_owned(),
            arch: std::env::consts::ARCH.to_owned(),
            gap_meter: GapMeter::of(gaps, metered),
        })
    }
}

impl GapMeter {
    pub(crate) fn of(gaps: Histogram<u64>, metered: Duration) -> Self {
        Self {
            // A gap may reach far beyond the end.
            seconds: metered.as_secs_f64().max(gaps::total_ns(&gaps, 0) / 1e9),
            p50_ns: gaps.value_at_quantile(0.5),
            p99_ns: gaps.value_at_quantile(0.99),
            p999_ns: gaps.value_at_quantile(0.999),
            max_ns: gaps.max(),
            share_above_5us: gaps::share_above(&gaps, LONG_GAP_NS),
            gaps,
        }
    }
}

fn cpu() -> String {
    // What x86 calls `model name` has other names elsewhere.
    let model = |text: &str| {
        let names = ["model name", "Model", "cpu model", "uarch"];
        let lines = || text.lines().filter_map(|line| line.split_once(':'));
        names.iter().find_map(|name| {
            lines().find(|(field, _)| field.trim() == *name).map(|(_, cpu)| cpu.trim().to_owned())
        })
    };
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    model(&info).unwrap_or_else(|| "unknown".to_owned())
}

fn kernel() -> String {
    match line_of("/proc/sys/kernel/osrelease") {
        Some(release) => format!("Linux {release}"),
        None => std::env::consts::OS.to_owned(),
    }
}

fn line_of(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A machine that looks the same everywhere.
    pub(crate) fn made_up() -> Machine {
        let mut gaps = Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("allowed");
        gaps.record_n(25, 1_000_000).expect("in range");
        gaps.record_n(300, 5_000).expect("in range");
        gaps.record_n(40_000, 20).expect("in range");
        Machine {
            cpu: "Testium <3> & co".to_owned(),
            cores: 2,
            kernel: "Linux 6.0".to_owned(),
            governor: None,
            rustc: "rustc 1.95.0".to_owned(),
            commit: "0123456789ab-dirty".to_owned(),
            arch: "x86_64".to_owned(),
            gap_meter: GapMeter::of(gaps, Duration::from_millis(200)),
        }
    }

    #[test]
    fn a_look_at_the_machine_finds_its_facts() {
        let machine = Machine::look(Duration::from_millis(2)).expect("there can be a thread");
        assert!(machine.cores >= 1);
        assert!(machine.rustc.starts_with("rustc ") || machine.rustc == "unknown");
        assert!(!machine.cpu.is_empty() && !machine.kernel.is_empty());
        assert!(machine.gap_meter.p50_ns <= machine.gap_meter.max_ns);
    }
}
