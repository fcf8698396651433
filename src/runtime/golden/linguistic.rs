//! Golden cases of linguistic.

use super::{Context, Report};
use crate::error::Result;

/// Adds the rows of this stage.
pub(super) fn cases(_context: &Context<'_>, _report: &mut Report<'_>) -> Result<()> {
    Ok(())
}
