//! The report as tables for a terminal.

use std::fmt::{self, Write as _};

use super::goals::{Bound, Goal};
use super::report::Report;
use super::rows::short;
use super::stats::Summary;

/// Everything, one table after the other.
pub fn show(report: &Report) -> String {
    let mut text = String::new();
    let machine = &report.machine;
    let host = machine.hypervisor.as_ref().map_or_else(String::new, |name| format!(", under {name}"));
    let _ =
        writeln!(text, "{}, {} cores{host}, Linux {}, {}", machine.cpu, machine.cores, machine.kernel, machine.date);
    let tables =
        [packets(report), loading(report), alone(report), two_cores(report), tcp(report), changes(report), api(report)];
    for table in tables {
        if table.rows.len() > 1 {
            let _ = write!(text, "\n{table}");
        }
    }
    for row in report.rows.iter().filter(|row| row.void.is_some()) {
        let _ = writeln!(text, "void: {}: {}", row.row, row.void.as_deref().unwrap_or_default());
    }
    for broken in &report.broken {
        let _ = writeln!(text, "broken: {broken}");
    }
    if report.goals.iter().any(|goal| goal.found.is_some()) {
        let _ = write!(text, "\n{}", goals(&report.goals));
    }
    text
}

/// Rows of cells, the header first; the first column stands left, the others right.
struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    fn add<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.rows.first().map_or(0, Vec::len);
        let cell = |row: &Vec<String>, column: usize| row.get(column).cloned().unwrap_or_default();
        let width = |column| self.rows.iter().map(|row| cell(row, column).chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for (number, row) in self.rows.iter().enumerate() {
            for (column, width) in widths.iter().enumerate() {
                let text = cell(row, column);
                if column == 0 { write!(f, "| {text:<width$} |")? } else { write!(f, " {text:>width$} |")? }
            }
            writeln!(f)?;
            if number == 0 {
                let rule: Vec<String> = widths.iter().map(|width| "-".repeat(width + 2)).collect();
                writeln!(f, "|{}|", rule.join("|"))?;
            }
        }
        Ok(())
    }
}

fn table(header: &[&str]) -> Table {
    Table { rows: vec![header.iter().map(|&title| title.to_owned()).collect()] }
}

fn range(summary: Option<Summary>, digits: usize) -> [String; 2] {
    summary.map_or_else(Default::default, |it| {
        [format!("{:.digits$}", it.median), format!("{:.digits$}..{:.digits$}", it.min, it.max)]
    })
}

fn packets(report: &Report) -> Table {
    let mut table = table(&["row", "cpu ns", "gw ns", "min..max", "Mpps", "lost"]);
    for row in &report.rows {
        if row.void.is_some() {
            table.add([row.row.clone(), "void".to_owned()]);
            continue;
        }
        let [gateway, spread] = range(row.summary(None, |sample| sample.gw_ns), 0);
        let [cpu, _] = range(row.summary(None, |sample| sample.cpu_ns), 0);
        let [mpps, _] = range(row.summary(None, |sample| sample.mpps), 2);
        table.add([row.row.clone(), cpu, gateway, spread, mpps, row.lost().to_string()]);
    }
    table
}

fn loading(report: &Report) -> Table {
    let mut table = table(&[
        "loaded",
        "to forwarding s",
        "store read s",
        "checked s",
        "says so s",
        "kernel MB",
        "counters MB",
        "daemon MB",
    ]);
    for (name, loading) in &report.loading {
        let megabytes = |bytes: u64| format!("{:.1}", bytes as f64 / 1e6);
        let serving = loading.serving_seconds.map_or_else(String::new, |seconds| format!("{seconds:.3}"));
        let [read, checked] =
            loading.store_seconds.map_or_else(Default::default, |parts| parts.map(|seconds| format!("{seconds:.3}")));
        table.add([
            name.clone(),
            format!("{:.3}", loading.seconds),
            read,
            checked,
            serving,
            megabytes(loading.kernel_bytes),
            megabytes(loading.counter_bytes),
            megabytes(loading.rss_bytes),
        ]);
    }
    table
}

fn alone(report: &Report) -> Table {
    let mut table = table(&["the program alone", "ns", "min..max"]);
    for row in &report.alone {
        let [median, spread] = range(row.summary(), 0);
        table.add([format!("{} {}", row.path, short(row.pairs)), median, spread]);
    }
    table
}

fn two_cores(report: &Report) -> Table {
    let mut table = table(&["two cores, 1k pairs", "Mpps", "min..max", "cpu ns"]);
    for row in &report.two_cores {
        let [median, spread] = range(row.summary(), 2);
        let [cpu, _] = range(Summary::of(&row.cpu_ns), 0);
        table.add([row.gateway.to_owned(), median, spread, cpu]);
    }
    table
}

fn tcp(report: &Report) -> Table {
    let mut table = table(&["TCP from an instance", "Gb/s", "min..max"]);
    for row in &report.tcp {
        let [median, spread] = range(row.summary(), 2);
        table.add([row.gateway.to_owned(), median, spread]);
    }
    table
}

fn changes(report: &Report) -> Table {
    let mut table = table(&[
        "changes",
        "p50 us",
        "p99 us",
        "per s",
        "at 10k/s",
        "at full speed",
        "lost",
        "lost beside",
        "astray of seen",
    ]);
    for row in &report.changes {
        let part = |part: Option<f64>| part.map_or_else(String::new, |part| format!("{:+.1} %", part * 100.0));
        let [per_second, _] = range(Summary::of(&row.per_second), 0);
        table.add([
            format!("{} {}", row.gateway, short(row.pairs)),
            format!("{:.1}", row.latency(0.5)),
            format!("{:.1}", row.latency(0.99)),
            per_second,
            part(row.disturbance(&row.paced_ns)),
            part(row.disturbance(&row.full_ns)),
            row.lost.to_string(),
            row.lost_beside.to_string(),
            format!("{} of {}", row.wrong, row.sampled),
        ]);
    }
    table
}

fn api(report: &Report) -> Table {
    let mut table = table(&["API", "clients", "calls/s", "min..max", "daemon us", "p50 ms", "p99 ms"]);
    for row in &report.api {
        let [rate, spread] = range(row.rate(), 0);
        let [cpu, _] = range(Summary::of(&row.cpu_us), 0);
        let latency = |part: f64| format!("{:.2}", row.latency(part) / 1e3);
        let call = format!("{} of {}", row.call, short(row.addresses));
        table.add([call, row.clients.to_string(), rate, spread, cpu, latency(0.5), latency(0.99)]);
    }
    table
}

fn goals(goals: &[Goal]) -> Table {
    let mut table = table(&["goal", "bound", "found", "verdict"]);
    for goal in goals {
        let bound = match goal.bound {
            Bound::AtMost(most) => format!("<= {most} {}", goal.unit),
            Bound::AtLeast(least) => format!(">= {least} {}", goal.unit),
        };
        let found = goal.found.map_or_else(|| "-".to_owned(), |found| format!("{found:.2} {}", goal.unit));
        let verdict = match goal.met() {
            Some(true) => "met",
            Some(false) => "MISSED",
            None => "not measured",
        };
        table.add([goal.what.clone(), bound, found, verdict.to_owned()]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_missing_cells_empty() {
        let mut table = table(&["row", "ns"]);
        table.add(["a".into(), "100".into()]);
        table.add(["longer".into()]);
        assert_eq!(table.to_string(), "| row    |  ns |\n|--------|-----|\n| a      | 100 |\n| longer |     |\n");
    }
}
