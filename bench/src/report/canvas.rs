//! An SVG drawing, measured in pixels from its upper left corner.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::Failure;

/// Where a text is put relative to its point.
#[derive(Clone, Copy, Debug)]
pub(super) enum Anchor {
    Left,
    Middle,
    Right,
}

/// What all plots draw with.
pub(super) struct Canvas<'s>(DrawingArea<SVGBackend<'s>, Shift>);

pub(super) const GREEN: RGBColor = RGBColor(35, 139, 84);
pub(super) const RED: RGBColor = RGBColor(200, 48, 64);
pub(super) const GREY: RGBColor = RGBColor(132, 142, 156);
pub(super) const LIGHT: RGBColor = RGBColor(224, 228, 233);
pub(super) const PALE: RGBColor = RGBColor(243, 245, 248);
pub(super) const INK: RGBColor = RGBColor(28, 33, 40);
pub(super) const BLUE: RGBColor = RGBColor(29, 78, 216);
pub(super) const ORANGE: RGBColor = RGBColor(217, 119, 6);

/// Draws, and returns the `<svg>` element, to be put into an HTML page.
///
/// # Errors
///
/// Those of `draw`.
pub(super) fn svg(
    size: (u32, u32),
    draw: impl FnOnce(&Canvas<'_>) -> Result<(), Failure>,
) -> Result<String, Failure> {
    let mut text = String::new();
    {
        let canvas = Canvas(SVGBackend::with_string(&mut text, size).into_drawing_area());
        draw(&canvas)?;
        canvas.0.present()?;
    }
    // Within a page the namespace goes without saying.
    Ok(text.replace(" xmlns=\"http://www.w3.org/2000/svg\"", ""))
}

impl Canvas<'_> {
    /// `from` and `to` are opposite corners.
    pub(super) fn bar(
        &self,
        from: (i32, i32),
        to: (i32, i32),
        color: RGBColor,
    ) -> Result<(), Failure> {
        Ok(self.0.draw(&Rectangle::new([from, to], color.filled()))?)
    }

    pub(super) fn line(
        &self,
        points: impl IntoIterator<Item = (i32, i32)>,
        color: RGBColor,
        width: u32,
    ) -> Result<(), Failure> {
        let points: Vec<_> = points.into_iter().collect();
        Ok(self.0.draw(&PathElement::new(points, color.stroke_width(width)))?)
    }

    /// In the middle of its line, vertically.
    pub(super) fn text(
        &self,
        at: (i32, i32),
        anchor: Anchor,
        size: u32,
        color: RGBColor,
        text: &str,
    ) -> Result<(), Failure> {
        let anchor = match anchor {
            Anchor::Left => HPos::Left,
            Anchor::Middle => HPos::Center,
            Anchor::Right => HPos::Right,
        };
        let style = ("sans-serif", size).into_font().color(&color);
        let style = style.pos(Pos::new(anchor, VPos::Center));
        Ok(self.0.draw(&Text::new(text.to_owned(), at, style))?)
    }
}
