//! Curves as SVG. Colours are classes of the page's own.

mod axis;
mod lines;

use super::html::escaped;
use super::metrics::Point;
use axis::Axis;

/// Room around the curves for the marks of the axes.
const RIGHT: f64 = 14.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 28.0;

/// Size of a drawing, in units that are about pixels of a screen.
#[derive(Clone, Copy, Debug)]
struct Frame {
    width: f64,
    height: f64,
    left: f64,
}

const NARROW: Frame = Frame {
    width: 640.0,
    height: 250.0,
    left: 58.0,
};

/// Over two of the others: letters are larger in it on a phone.
const WIDE: Frame = Frame {
    width: 960.0,
    height: 320.0,
    left: 76.0,
};

impl Frame {
    fn right(self) -> f64 {
        self.width - RIGHT
    }

    fn bottom(self) -> f64 {
        self.height - BOTTOM
    }
}

/// A curve.
#[derive(Clone, Debug)]
pub struct Series {
    /// Name in the legend.
    pub name: &'static str,
    /// Steps and values.
    pub points: Vec<Point>,
    /// Whether a smoothed curve is drawn over many points.
    pub is_smoothed: bool,
}

/// Curves over the same steps.
#[derive(Clone, Debug)]
pub struct Chart {
    /// What is shown.
    pub title: &'static str,
    /// One curve at least has points.
    pub series: Vec<Series>,
    /// Whether the axis begins at 0.
    pub from_zero: bool,
    /// Whether it is as wide as two others.
    pub is_wide: bool,
    /// Step to be marked, and why.
    pub mark: Option<(f64, &'static str)>,
}

/// Drawing of a chart.
pub fn svg(chart: &Chart) -> String {
    let frame = if chart.is_wide { WIDE } else { NARROW };
    let all = || chart.series.iter().flat_map(|series| series.points.iter());
    let x = Axis::of(all().map(|point| point.0), (frame.left, frame.right())).whole();
    let zero = chart.from_zero.then_some(0.0);
    let values = all().map(|point| point.1).chain(zero);
    let y = Axis::of(values, (frame.bottom(), TOP)).padded(chart.from_zero);
    let curves = chart.series.iter().enumerate();
    let curves = curves.map(|(i, series)| lines::curve(i, series, (&x, &y)));
    format!(
        "<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">{}{}{}{}</svg>",
        frame.width,
        frame.height,
        escaped(chart.title),
        horizontal(&y, frame),
        vertical(&x, frame),
        marked(chart.mark, &x, frame),
        curves.collect::<String>()
    )
}

fn horizontal(y: &Axis, frame: Frame) -> String {
    let (left, end) = (frame.left, frame.right());
    let line = |(value, text): (f64, String)| {
        let (at, beside) = (y.place(value), left - 8.0);
        let below = at + 4.5;
        format!(
            "<path class=\"grid\" d=\"M{left} {at:.1}H{end}\"/>\
             <text x=\"{beside}\" y=\"{below:.1}\" text-anchor=\"end\">{text}</text>"
        )
    };
    y.marks(5).into_iter().map(line).collect()
}

fn vertical(x: &Axis, frame: Frame) -> String {
    let below = frame.bottom() + 20.0;
    let text = |(value, text): (f64, String)| {
        let at = x.place(value);
        let anchor = if at > frame.right() - 8.0 {
            "end"
        } else {
            "middle"
        };
        format!("<text x=\"{at:.1}\" y=\"{below}\" text-anchor=\"{anchor}\">{text}</text>")
    };
    x.marks(6).into_iter().map(text).collect()
}

fn marked(mark: Option<(f64, &'static str)>, x: &Axis, frame: Frame) -> String {
    let Some((step, why)) = mark else {
        return String::new();
    };
    let (at, bottom, below) = (x.place(step), frame.bottom(), TOP + 11.0);
    let (anchor, beside) = match at > frame.width / 2.0 {
        true => ("end", at - 6.0),
        false => ("start", at + 6.0),
    };
    format!(
        "<path class=\"mark\" d=\"M{at:.1} {TOP}V{bottom}\"/>\
         <text x=\"{beside:.1}\" y=\"{below}\" text-anchor=\"{anchor}\">{}</text>",
        escaped(why)
    )
}
