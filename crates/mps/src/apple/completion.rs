//! Ends of command buffers of ours, for the ledger.

use std::ptr::NonNull;
use std::sync::Arc;

use block2::RcBlock;
use objc2_metal::{MTLCommandBuffer, MTLCommandBufferStatus};

use super::work::Commands;
use crate::order::Ledger;

/// Enters a command buffer that is about to be committed; its end is entered when it comes.
pub fn watch(commands: &Commands, ledger: &Arc<Ledger>) {
    let entries = ledger.clone();
    let handler = RcBlock::new(move |commands: NonNull<Commands>| {
        // SAFETY: Metal calls with the command buffer, which lives for the call.
        entries.end(error(unsafe { commands.as_ref() }));
    });
    // SAFETY: the handler is copied, and may be called by any thread.
    unsafe { commands.addCompletedHandler(RcBlock::as_ptr(&handler)) };
    ledger.begin();
}

/// What Metal says of a command buffer that failed.
fn error(commands: &Commands) -> Option<String> {
    let failed = commands.status() == MTLCommandBufferStatus::Error;
    failed.then(|| match commands.error() {
        Some(error) => error.localizedDescription().to_string(),
        None => "unknown error".into(),
    })
}
