//! What windows are to be, if items gather in some.

use super::Settings;
use crate::error::StartError;
use crate::grouping::Grouping;
use crate::limits;
use crate::misfit::{Misfit, check};
use crate::nanos::Nanos;
use crate::windows::WindowSizes;

/// `None` where items are grouped as they come.
pub(super) fn parse(
    settings: &Settings,
    largest: u32,
    queues: bool,
) -> Result<Option<WindowSizes>, StartError> {
    let Grouping::Windowed { items } = settings.grouping else { return Ok(None) };
    check("grouping.items", items, &limits::WINDOW_ITEMS)?;
    if queues {
        let allowed = "hashed, with what needs queues";
        return Err(Misfit::new("grouping", settings.grouping, allowed).into());
    }
    let tunables = &settings.tunables;
    let batch_items = tunables.batch_items_of_windows()?;
    let flush_after = Nanos::from(tunables.flush_after);
    Ok(Some(WindowSizes { items, batch_items, largest, flush_after }))
}
