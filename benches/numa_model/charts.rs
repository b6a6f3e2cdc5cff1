//! Horizontal bars as SVG, on a white card, so that they can be read on light and dark pages alike.

use std::error::Error;
use std::path::Path;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// One chart: groups of bars.
pub(crate) struct Chart<'a> {
    pub(crate) title: &'a str,
    pub(crate) series: &'a [&'a str],
    /// A label, and a value per series.
    pub(crate) groups: Vec<(String, Vec<f64>)>,
}

const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(120, 120, 120),
    RGBColor(213, 94, 0),
];
const WIDTH: i32 = 860;
const LABELS: i32 = 210;
const BAR: i32 = 15;

/// Draws it.
pub(crate) fn draw(path: &Path, chart: &Chart<'_>) -> Result<(), Box<dyn Error>> {
    let bars = chart.series.len() as i32;
    let group = bars * BAR + 14;
    let top = 48 + 20 * ((bars + 2) / 3);
    let height = top + group * chart.groups.len() as i32 + 16;
    let area = SVGBackend::new(path, (WIDTH as u32, height as u32)).into_drawing_area();
    area.fill(&WHITE)?;
    let ink = RGBColor(34, 34, 34);
    let font = |size: i32| ("sans-serif", size).into_font().color(&ink);
    area.draw(&Text::new(chart.title, (16, 12), font(17)))?;
    for (i, name) in chart.series.iter().enumerate() {
        let (x, y) = (16 + (i as i32 % 3) * 275, 42 + (i as i32 / 3) * 20);
        area.draw(&Rectangle::new(
            [(x, y), (x + 12, y + 12)],
            COLOURS[i % COLOURS.len()].filled(),
        ))?;
        area.draw(&Text::new((*name).to_owned(), (x + 18, y - 1), font(13)))?;
    }
    let all = chart.groups.iter().flat_map(|(_, values)| values);
    let most = all.copied().fold(f64::MIN_POSITIVE, f64::max);
    let room = f64::from(WIDTH - LABELS - 80);
    for (g, (label, values)) in chart.groups.iter().enumerate() {
        let y = top + g as i32 * group;
        let right = font(13).pos(Pos::new(HPos::Right, VPos::Center));
        let middle = y + bars * BAR / 2;
        area.draw(&Text::new(label.clone(), (LABELS - 10, middle), right))?;
        for (i, value) in values.iter().enumerate() {
            let (y, length) = (y + i as i32 * BAR, (value / most * room) as i32);
            area.draw(&Rectangle::new(
                [(LABELS, y), (LABELS + length.max(1), y + BAR - 2)],
                COLOURS[i % COLOURS.len()].filled(),
            ))?;
            let text = if *value >= 100.0 {
                format!("{value:.0}")
            } else if *value >= 10.0 {
                format!("{value:.1}")
            } else {
                format!("{value:.2}")
            };
            let left = font(11).pos(Pos::new(HPos::Left, VPos::Center));
            area.draw(&Text::new(
                text,
                (LABELS + length + 6, y + BAR / 2 - 1),
                left,
            ))?;
        }
    }
    area.present()?;
    Ok(())
}
