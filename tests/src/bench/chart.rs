//! The chart for the README: what a packet costs in each gateway, and how that grows with the number of pairs. Colours
//! follow the reader's light or dark mode.

use std::fmt::Write as _;

use super::report::Report;

const WIDTH: f64 = 860.0;
const NAMES: f64 = 214.0;
const BAR: f64 = 26.0;

/// Gateways of the bars, as rows call them and as readers do.
const BARS: [(&str, &str); 8] = [
    ("static-redirect in", "XDP redirect, no NAT (floor)"),
    ("fib-redirect in", "XDP with FIB, no NAT"),
    ("eipgate in 1k", "eipgate"),
    ("forwarding in 1k", "kernel forwarding, no NAT"),
    ("nft-stateless in 1k", "nftables stateless"),
    ("iptables-netmap in 1k", "iptables NETMAP"),
    ("nft-stateful in 1k", "nftables stateful"),
    ("nft-stateful in 1k new flows", "nftables, new flows"),
];
const LINES: [(&str, &str, &str); 4] = [
    ("eipgate in", "eipgate", "ours"),
    ("forwarding in", "forwarding", "plain"),
    ("nft-stateless in", "nft stateless", "less"),
    ("nft-stateful in", "nft stateful", "full"),
];
const COUNTS: [&str; 4] = ["1", "1k", "100k", "1M"];

/// The whole chart.
pub fn draw(report: &Report) -> String {
    let mut svg = String::new();
    let bars: Vec<_> = BARS.iter().filter_map(|(row, name)| Some((*name, report.cost(row)?))).collect();
    let bars_height = 60.0 + bars.len() as f64 * BAR;
    let height = bars_height + 350.0;
    let _ = write!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" font-family=\"system-ui, sans-serif\" font-size=\"13\" role=\"img\">\n{STYLE}\n"
    );
    let _ = writeln!(svg, "<title>{}</title>", escape("CPU time per packet of eipgate and of other gateways"));
    let _ = writeln!(svg, "<rect class=\"page\" width=\"100%\" height=\"100%\" rx=\"6\"/>");
    text(&mut svg, (16.0, 26.0), "head", "CPU time per packet in ns, 1,000 pairs, inbound, one core");
    draw_bars(&mut svg, &bars);
    draw_lines(&mut svg, report, bars_height + 20.0);
    let machine = &report.machine;
    let under = machine.hypervisor.as_ref().map_or_else(String::new, |name| format!(" under {name}"));
    let foot = format!("{}{under}, Linux {}, {}", machine.cpu, machine.kernel, machine.date);
    text(&mut svg, (16.0, height - 28.0), "foot", &foot);
    let method = "Medians with their ranges over interleaved rounds; what generator and wire cost is subtracted.";
    text(&mut svg, (16.0, height - 12.0), "foot", method);
    svg += "</svg>\n";
    svg
}

const STYLE: &str = "<style>
.page { fill: #ffffff; } text { fill: #1f2328; } .foot { fill: #59636e; font-size: 11px; } .head { font-weight: 600; }
.bar { fill: #8c959f; } .bar.ours { fill: #1a7f5a; } .grid { stroke: #d1d9e0; } .range { stroke: #59636e; }
.line { fill: none; stroke-width: 2.2; } .ours.line { stroke: #1a7f5a; } .plain.line { stroke: #8c959f; }
.less.line { stroke: #b7791f; } .full.line { stroke: #b0413e; }
.ours.dot { fill: #1a7f5a; } .plain.dot { fill: #8c959f; } .less.dot { fill: #b7791f; } .full.dot { fill: #b0413e; }
@media (prefers-color-scheme: dark) {
.page { fill: #0d1117; } text { fill: #e6edf3; } .foot { fill: #9198a1; } .grid { stroke: #30363d; }
.bar { fill: #6e7681; } .bar.ours { fill: #3fb68b; } .range { stroke: #9198a1; }
.ours.line { stroke: #3fb68b; } .plain.line { stroke: #9198a1; } .less.line { stroke: #e3b341; } .full.line { stroke: #ff7b72; }
.ours.dot { fill: #3fb68b; } .plain.dot { fill: #9198a1; } .less.dot { fill: #e3b341; } .full.dot { fill: #ff7b72; }
}
</style>";

fn draw_bars(svg: &mut String, bars: &[(&str, super::stats::Summary)]) {
    let longest = bars.iter().map(|(_, cost)| cost.max).fold(1.0, f64::max);
    let room = WIDTH - NAMES - 90.0;
    for (number, (name, cost)) in bars.iter().enumerate() {
        let y = 44.0 + number as f64 * BAR;
        let x = |value: f64| NAMES + room * value.max(0.0) / longest;
        let class = if *name == "eipgate" { "bar ours" } else { "bar" };
        let _ = writeln!(
            svg,
            "<rect class=\"{class}\" x=\"{NAMES}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"17\" rx=\"2\"/>\
             <path class=\"range\" d=\"M{:.1} {m:.1}H{:.1}\"/>",
            x(cost.median) - NAMES,
            x(cost.min),
            x(cost.max),
            m = y + 8.5
        );
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            NAMES - 8.0,
            y + 13.0,
            escape(name)
        );
        text(svg, (x(cost.max) + 6.0, y + 13.0), "", &format!("{:.0}", cost.median));
    }
}

fn draw_lines(svg: &mut String, report: &Report, top: f64) {
    text(svg, (16.0, top + 6.0), "head", "The same against the number of pairs, each packet of a random one");
    let costs = |row: &str| -> Vec<(usize, f64)> {
        let found = COUNTS.iter().enumerate();
        found.filter_map(|(at, count)| Some((at, report.cost(&format!("{row} {count}"))?.median))).collect()
    };
    let lines: Vec<_> = LINES.iter().map(|(row, name, class)| (costs(row), *name, *class)).collect();
    let greatest = lines.iter().flat_map(|(costs, ..)| costs).map(|(_, cost)| *cost).fold(100.0, f64::max);
    let step =
        [50.0, 100.0, 200.0, 250.0, 500.0, 1000.0].into_iter().find(|step| greatest / step <= 6.0).unwrap_or(2000.0);
    let ceiling = (greatest / step).ceil() * step;
    let (bottom, height) = (top + 262.0, 236.0);
    let x = |at: usize| 70.0 + at as f64 * (WIDTH - 270.0) / (COUNTS.len() - 1) as f64;
    let y = |cost: f64| bottom - height * cost.max(0.0) / ceiling;
    for line in 0..=(ceiling / step) as usize {
        let value = line as f64 * step;
        let _ = writeln!(svg, "<path class=\"grid\" d=\"M60 {:.1}H{:.1}\"/>", y(value), x(COUNTS.len() - 1) + 10.0);
        let _ = writeln!(svg, "<text x=\"52\" y=\"{:.1}\" text-anchor=\"end\">{value:.0}</text>", y(value) + 4.0);
    }
    for (at, count) in COUNTS.iter().enumerate() {
        let _ =
            writeln!(svg, "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{count}</text>", x(at), bottom + 18.0);
    }
    let mut labels: Vec<(f64, String)> = Vec::new();
    for (costs, name, class) in &lines {
        let points: Vec<String> = costs.iter().map(|(at, cost)| format!("{:.1},{:.1}", x(*at), y(*cost))).collect();
        let _ = writeln!(svg, "<polyline class=\"line {class}\" points=\"{}\"/>", points.join(" "));
        for (at, cost) in costs {
            let _ =
                writeln!(svg, "<circle class=\"dot {class}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.5\"/>", x(*at), y(*cost));
        }
        if let Some((_, cost)) = costs.last() {
            labels.push((y(*cost) + 4.0, format!("{name} {cost:.0}")));
        }
    }
    // Labels of lines that end close together are moved apart.
    labels.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut lowest = f64::MIN;
    for (at, label) in labels {
        lowest = at.max(lowest + 15.0);
        text(svg, (x(COUNTS.len() - 1) + 14.0, lowest), "", &label);
    }
}

fn text(svg: &mut String, (x, y): (f64, f64), class: &str, words: &str) {
    let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
    let _ = writeln!(svg, "<text{class} x=\"{x:.1}\" y=\"{y:.1}\">{}</text>", escape(words));
}

/// Text as XML may carry it.
fn escape(words: &str) -> String {
    words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::super::rounds::{Measured, Sample};
    use super::*;

    #[test]
    fn text_is_escaped() {
        assert_eq!(escape("a < b & \"c\" > d"), "a &lt; b &amp; &quot;c&quot; &gt; d");
        let mut report = Report::default();
        report.machine.cpu = "<script>&".into();
        let svg = draw(&report);
        assert!(!svg.contains("<script>") && svg.contains("&lt;script&gt;&amp;"));
    }

    #[test]
    fn what_was_measured_is_drawn_and_nothing_else() {
        let sample = Sample { part: 0, round: 0, cpu_ns: 100.0, gw_ns: 56.0, sent: 1, lost: 0, mpps: 0.0 };
        let row = |name: &str| Measured { row: name.into(), void: None, samples: vec![sample] };
        let report = Report { rows: vec![row("eipgate in 1k"), row("eipgate in 1M")], ..Report::default() };
        let svg = draw(&report);
        assert_eq!(svg.matches("class=\"bar ours\"").count(), 1);
        assert_eq!(svg.matches("class=\"bar\"").count(), 0);
        assert_eq!(svg.matches("<circle").count(), 2);
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    }
}
