//! A chapter for each operation: what it promises, what it costs, when not to use it, and an example.
//!
//! Begin with [`engines`]: an engine has none of these operations, nor their price, unless it asks for one.

#[doc = include_str!("guide/engines.md")]
#[doc = ""]
#[doc = include_str!("guide/links.txt")]
pub mod engines {}

#[doc = include_str!("guide/grouping.md")]
#[doc = ""]
#[doc = include_str!("guide/links.txt")]
pub mod grouping {}

#[doc = include_str!("guide/calls.md")]
#[doc = ""]
#[doc = include_str!("guide/links.txt")]
pub mod calls {}

#[doc = include_str!("guide/retries.md")]
#[doc = ""]
#[doc = include_str!("guide/links.txt")]
pub mod retries {}

#[doc = include_str!("guide/isolation.md")]
#[doc = ""]
#[doc = include_str!("guide/links.txt")]
pub mod isolation {}

#[doc = include_str!("guide/merge.md")]
#[doc = ""]
#[doc = include_str!("guide/links.txt")]
pub mod merge {}

#[doc = include_str!("guide/entities.md")]
#[doc = ""]
#[doc = include_str!("guide/links.txt")]
pub mod entities {}

#[doc = include_str!("guide/routing.md")]
#[doc = ""]
#[doc = include_str!("guide/links.txt")]
pub mod routing {}

#[doc = include_str!("guide/follow_ups.md")]
#[doc = ""]
#[doc = include_str!("guide/links.txt")]
pub mod follow_ups {}

#[doc = include_str!("guide/detached.md")]
#[doc = ""]
#[doc = include_str!("guide/links.txt")]
pub mod detached {}

#[doc = include_str!("guide/limits.md")]
#[doc = ""]
#[doc = include_str!("guide/links.txt")]
pub mod limits {}

#[doc = include_str!("guide/control.md")]
#[doc = ""]
#[doc = include_str!("guide/links.txt")]
pub mod control {}

#[doc = include_str!("guide/telemetry.md")]
#[doc = ""]
#[doc = include_str!("guide/links.txt")]
pub mod telemetry {}

#[doc = include_str!("guide/one_shot.md")]
#[doc = ""]
#[doc = include_str!("guide/links.txt")]
pub mod one_shot {}
