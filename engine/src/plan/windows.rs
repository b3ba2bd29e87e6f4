//! What windows are to be, if items gather in some.

use super::{Settings, check, setting};
use crate::error::StartError;
use crate::grouping::Grouping;
use crate::limits;
use crate::nanos::Nanos;
use crate::sizing::Sizing;
use crate::windows::WindowSizes;

/// `None` where items are grouped as they come.
pub(super) fn parse(
    settings: &Settings,
    flush_after: Nanos,
    queues: bool,
) -> Result<Option<WindowSizes>, StartError> {
    let Grouping::Windowed { items } = settings.grouping else { return Ok(None) };
    check("grouping.items", items, &limits::WINDOW_ITEMS)?;
    if queues {
        let allowed = "hashed, with what needs queues";
        return Err(setting("grouping", settings.grouping, allowed));
    }
    let Sizing::Fixed(batch_items) = settings.sizing else {
        let allowed = "fixed, with windows";
        return Err(setting("sizing", settings.sizing, allowed));
    };
    Ok(Some(WindowSizes { items, batch_items, flush_after }))
}
