use crate::report::chart::{self, Chart, Series};
use crate::report::words::value;

/// All charts.
pub fn all(charts: &[Chart]) -> String {
    if charts.is_empty() {
        return "<h2>Curves</h2><p class=\"note\">No step was reported.</p>".into();
    }
    let figures: String = charts.iter().map(figure).collect();
    format!("<h2>Curves</h2><div class=\"curves\">{figures}</div>")
}

fn figure(chart: &Chart) -> String {
    let keys: String = chart.series.iter().enumerate().map(key).collect();
    let class = if chart.is_wide { "card wide" } else { "card" };
    format!(
        "<figure class=\"{class}\"><figcaption><span>{}</span>{keys}<span class=\"last\">{}</span></figcaption>{}</figure>",
        chart.title,
        last(&chart.series),
        chart::svg(chart)
    )
}

/// Entry of the legend; a single curve needs none.
fn key((i, series): (usize, &Series)) -> String {
    match series.name {
        "" => String::new(),
        name => format!("<span class=\"key s{i}\"><b>{name}</b></span>"),
    }
}

fn last(series: &[Series]) -> String {
    let one = |series: &Series| {
        let (_, last) = series.points.last()?;
        Some(
            format!("{} {}", series.name, value(*last))
                .trim()
                .to_string(),
        )
    };
    let texts: Vec<String> = series.iter().filter_map(one).collect();
    format!("last: {}", texts.join(", "))
}
