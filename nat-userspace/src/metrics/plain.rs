//! The older text format of Prometheus, for scrapers that do not ask for OpenMetrics.

use std::fmt::Write as _;

/// The same page in the older format, which names the sample in a type line and not its family, knows no info type, and
/// has no end mark.
pub(super) fn plain(openmetrics: &str) -> String {
    let mut text = String::with_capacity(openmetrics.len());
    let mut help = "";
    for line in openmetrics.lines() {
        if line == "# EOF" {
            continue;
        }
        // A family begins with its help, and only the type that follows says how its samples are called.
        if line.starts_with("# HELP ") {
            help = line;
            continue;
        }
        let Some((family, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) else {
            let _ = writeln!(text, "{line}");
            continue;
        };
        let (suffix, kind) = match kind {
            "counter" => ("_total", "counter"),
            "info" => ("_info", "gauge"),
            other => ("", other),
        };
        let explained = help.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')).map_or("", |(_, text)| text);
        let _ = writeln!(text, "# HELP {family}{suffix} {explained}\n# TYPE {family}{suffix} {kind}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_get_the_names_of_their_samples() {
        let openmetrics = "# HELP a_b Things.\n# TYPE a_b counter\na_b_total{x=\"y z\"} 1\n# HELP c Now.\n# TYPE c gauge\nc 2\n\
                           # HELP d What.\n# TYPE d info\nd_info{v=\"1\"} 1\n# EOF\n";
        let expected = "# HELP a_b_total Things.\n# TYPE a_b_total counter\na_b_total{x=\"y z\"} 1\n# HELP c Now.\n\
                        # TYPE c gauge\nc 2\n# HELP d_info What.\n# TYPE d_info gauge\nd_info{v=\"1\"} 1\n";
        assert_eq!(plain(openmetrics), expected);
    }
}
