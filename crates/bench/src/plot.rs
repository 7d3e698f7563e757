//! A record as a picture.

use crate::bars::{RIVAL, bar, is_met};
use crate::record::{Record, Row};
use metal_candle_cli::error::{Error, Result};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

const WIDTH: u32 = 900;
const ROW_HEIGHT: u32 = 22;
const LABEL_WIDTH: u32 = 380;
const FONT: (&str, u32) = ("sans-serif", 13);

const MET: RGBColor = RGBColor(46, 134, 87);
const MISSED: RGBColor = RGBColor(200, 120, 40);

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

/// How many times as long PyTorch takes, for every row that has a bar; an SVG. The bar is a line
/// across.
///
/// # Errors
/// When there is nothing to show.
pub fn ratios(record: &Record) -> Result<String> {
    let rows: Vec<(&Row, f64, f64)> = record
        .rows
        .iter()
        .filter_map(|row| Some((row, row.ratio(RIVAL)?, bar(row)?.ratio)))
        .collect();
    if rows.is_empty() {
        return Err(Error::input("the record has no row with a bar and a rival")
            .with_advice("record with --table --vs pytorch"));
    }
    let mut svg = String::new();
    let height = ROW_HEIGHT * (rows.len() as u32 + 3);
    draw(&mut svg, height, &rows).map_err(Error::failed)?;
    Ok(svg)
}

fn draw(
    svg: &mut String,
    height: u32,
    rows: &[(&Row, f64, f64)],
) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let area = SVGBackend::with_string(svg, (WIDTH, height)).into_drawing_area();
    area.fill(&WHITE)?;
    let most = rows.iter().map(|(_, ratio, _)| *ratio).fold(2.0, f64::max);
    let title = "PyTorch's time / ours (longer is better; | is the bar)";
    let mut chart = ChartBuilder::on(&area)
        .caption(title, FONT)
        .x_label_area_size(ROW_HEIGHT)
        .y_label_area_size(LABEL_WIDTH)
        .build_cartesian_2d(0.0..1.05 * most, rows.len() as f64..0.0)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .y_labels(0)
        .label_style(FONT)
        .draw()?;
    let rectangles = rows.iter().zip(0..).map(|(&(row, ratio, _), i)| {
        let colour = if is_met(row) == Some(true) {
            MET
        } else {
            MISSED
        };
        let top = f64::from(i);
        Rectangle::new([(0.0, top + 0.15), (ratio, top + 0.85)], colour.filled())
    });
    chart.draw_series(rectangles)?;
    let bars = rows.iter().zip(0..).map(|(&(_, _, bar), i)| {
        let top = f64::from(i);
        PathElement::new(vec![(bar, top), (bar, top + 1.0)], BLACK.stroke_width(2))
    });
    chart.draw_series(bars)?;
    label(&area, chart.plotting_area(), rows)?;
    area.present()?;
    Ok(())
}

/// The subject of every row, to the left of it, and its ratio.
fn label(
    area: &Area<'_>,
    plot: &DrawingArea<SVGBackend<'_>, Cartesian2d<RangedCoordf64, RangedCoordf64>>,
    rows: &[(&Row, f64, f64)],
) -> std::result::Result<(), Box<dyn std::error::Error>> {
    for ((row, ratio, _), i) in rows.iter().zip(0..) {
        let (_, y) = plot.map_coordinate(&(0.0, f64::from(i) + 0.2));
        let subject = &row.subject;
        let text = format!(
            "{} {} {} {}",
            subject.op, subject.case, subject.dtype, subject.pass
        );
        area.draw(&Text::new(text, (8, y), FONT))?;
        let text = format!("{ratio:.2}");
        area.draw(&Text::new(text, (LABEL_WIDTH as i32 - 36, y), FONT))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Pass;
    use crate::record::testing::{record, row};

    #[test]
    fn every_row_with_a_bar_is_drawn() {
        let svg = ratios(&record(vec![
            row("softmax", "2048x2048", Pass::Both, Some(1.75)),
            row("rope", "1x14x512x64", Pass::Both, Some(0.5)),
            row("rope", "1x14x512x64", Pass::Backward, Some(7.5)),
        ]));
        let svg = svg.unwrap();
        assert!(svg.starts_with("<svg"), "{svg}");
        for part in [
            "softmax 2048x2048 f32",
            "1.75",
            "#2E8657",
            "0.50",
            "#C87828",
        ] {
            assert!(svg.contains(part), "{part} in {svg}");
        }
        assert!(!svg.contains("7.5"));
    }

    #[test]
    fn without_a_rival_there_is_nothing_to_draw() {
        let record = record(vec![row("softmax", "2048x2048", Pass::Both, None)]);
        assert!(ratios(&record).is_err());
    }
}
