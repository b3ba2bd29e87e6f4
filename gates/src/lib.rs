//! x
/// Items
pub const ITEMS: usize = 65_536;
