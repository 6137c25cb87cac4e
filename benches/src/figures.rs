//! Figures, and tables of them.

use anyhow::Context;

/// The spread of measurements, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    /// The minimum.
    pub min: f64,
    /// The median.
    pub p50: f64,
    /// The value that 99 of 100 do not exceed.
    pub p99: f64,
    /// The maximum.
    pub max: f64,
}

impl Spread {
    /// Returns the spread, or `None` if there are no measurements.
    #[must_use]
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let at = |share: f64| {
            // The smallest value that this share does not exceed.
            let rank = (share * values.len() as f64).ceil() as usize;
            values.get(rank.max(1) - 1).copied()
        };
        Some(Self { min: at(0.0)?, p50: at(0.5)?, p99: at(0.99)?, max: at(1.0)? })
    }

    /// Returns the cells of a table.
    #[must_use]
    pub fn cells(self) -> [f64; 3] {
        [self.p50, self.p99, self.max]
    }

    /// Returns the time from the first measurement to the last one.
    #[must_use]
    pub fn skew(self) -> f64 {
        self.max - self.min
    }
}

/// Returns the processor time of these processes, in milliseconds.
#[must_use]
pub fn processor_millis(processes: &[u32]) -> f64 {
    // The kernel reports hundredths of a second, whatever unit it uses itself.
    const MILLIS_PER_TICK: u64 = 10;
    let ticks = processes.iter().filter_map(|id| {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The name of the program, in parentheses, may contain spaces.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
        let mut next = || fields.next()?.parse::<u64>().ok();
        Some(next()? + next()?)
    });
    (ticks.sum::<u64>() * MILLIS_PER_TICK) as f64
}

/// Returns the resident memory of a process in MB.
///
/// # Errors
///
/// Fails if the process has ended.
pub fn resident_megabytes(process: u32) -> anyhow::Result<f64> {
    let path = format!("/proc/{process}/status");
    let status = std::fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("the kernel shows no VmRSS")?;
    let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse().context("read VmRSS")?;
    Ok(kilobytes / 1024.0)
}

/// A table of milliseconds with one decimal each.
pub struct Table {
    first: &'static str,
    columns: Vec<&'static str>,
    rows: Vec<Vec<f64>>,
}

const WIDTH: usize = 10;

impl Table {
    /// Prints the headings.
    #[must_use]
    pub fn new(first: &'static str, columns: &[&'static str]) -> Self {
        let line: String = columns.iter().map(|column| format!("{column:>WIDTH$}")).collect();
        println!("{first:<8}{line}");
        Self { first, columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Prints a row, and keeps it for the summary.
    pub fn row(&mut self, name: &str, values: Vec<f64>) {
        print_row(name, &values);
        self.rows.push(values);
    }

    /// Prints the minimum, the median, and the maximum of each column.
    pub fn close(&self) {
        println!("{}", "-".repeat(self.first.len().max(8) + WIDTH * self.columns.len()));
        let column = |index: usize| {
            let mut values: Vec<f64> = self.rows.iter().filter_map(|row| row.get(index).copied()).collect();
            values.sort_by(f64::total_cmp);
            values
        };
        type Pick = fn(&[f64]) -> Option<f64>;
        let picks: [(&str, Pick); 3] = [
            ("min", |values| values.first().copied()),
            ("median", |values| values.get(values.len() / 2).copied()),
            ("max", |values| values.last().copied()),
        ];
        for (name, pick) in picks {
            let values: Vec<f64> = (0..self.columns.len()).filter_map(|index| pick(&column(index))).collect();
            print_row(name, &values);
        }
    }
}

fn print_row(name: &str, values: &[f64]) {
    let line: String = values.iter().map(|value| format!("{value:>WIDTH$.1}")).collect();
    println!("{name:<8}{line}");
}
