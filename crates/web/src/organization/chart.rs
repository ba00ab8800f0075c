//! Small charts of days, drawn here as SVG: bars, with the numbers for who listens or points.

use maud::{Markup, PreEscaped, html};

/// A bar: its day, its height, how much of it is bad, and what it says.
pub(super) struct Bar {
    pub(super) day: String,
    pub(super) value: f64,
    pub(super) bad: f64,
    pub(super) says: String,
}

const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 96.0;
const FLOOR: f64 = 78.0;

/// A chart under a heading, with a number that sums it up.
pub(super) fn bars(id: &str, title: &str, sum: &str, bars: &[Bar]) -> Markup {
    let most = bars.iter().map(|bar| bar.value).fold(0.0, f64::max);
    let step = WIDTH / bars.len().max(1) as f64;
    let scale = if most > 0.0 { (FLOOR - 8.0) / most } else { 0.0 };
    html! {
        figure.chart {
            figcaption { span { (title) } strong { (sum) } }
            svg id=(id) viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-labelledby={ (id) "-title" } {
                title id={ (id) "-title" } { (title) ": " (sum) }
                line.axis x1="0" x2=(WIDTH) y1=(FLOOR) y2=(FLOOR) {}
                @for (place, bar) in bars.iter().enumerate() {
                    (one(place as f64 * step, step, bar, scale))
                }
                @if let (Some(first), Some(last)) = (bars.first(), bars.last()) {
                    text x="0" y=(HEIGHT - 3.0) { (first.day) }
                    text x=(WIDTH) y=(HEIGHT - 3.0) text-anchor="end" { (last.day) }
                }
            }
            table.hidden {
                caption { (title) }
                thead { tr { th scope="col" { "Day" } th scope="col" { "Value" } } }
                tbody { @for bar in bars { tr { th scope="row" { (bar.day) } td { (bar.says) } } } }
            }
        }
    }
}

fn one(x: f64, step: f64, bar: &Bar, scale: f64) -> Markup {
    let (height, bad) = (bar.value * scale, bar.bad * scale);
    let rect = |class: &str, top: f64, height: f64| {
        PreEscaped(format!(
            "<rect class=\"{class}\" x=\"{:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{height:.1}\" rx=\"2\"/>",
            x + step * 0.15,
            step * 0.7
        ))
    };
    html! {
        g {
            title { (bar.day) ": " (bar.says) }
            // The whole height takes the pointer.
            (PreEscaped(format!("<rect class=\"reach\" x=\"{x:.1}\" y=\"0\" width=\"{step:.1}\" height=\"{FLOOR}\"/>")))
            @if height > 0.0 { (rect("whole", FLOOR - height, height)) }
            @if bad > 0.0 { (rect("bad", FLOOR - bad, bad)) }
        }
    }
}

/// A number of seconds in words that fit into a chart.
pub(crate) fn seconds(seconds: f64) -> String {
    match seconds {
        s if s < 1.0 => format!("{:.0} ms", s * 1000.0),
        s if s < 10.0 => format!("{s:.1} s"),
        s if s < 90.0 => format!("{s:.0} s"),
        s if s < 5400.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}
