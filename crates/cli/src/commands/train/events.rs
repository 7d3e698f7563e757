//! Event files for TensorBoard, where `--report-to` asks for them.

use super::Args;
use super::services::Service;
use crate::error::Result;
use crate::tensorboard::Writer;
use metal_candle::fine_tune::Prepared;
use metal_candle::train::Event;
use std::path::Path;

/// Writer of event files; `None` where nobody asked for them. A run that goes on in its own folder goes on in them.
///
/// # Errors
/// When the folder cannot be listed.
pub fn writer(prepared: &Prepared, args: &Args) -> Result<Option<Writer>> {
    if args.reports.report_to != Some(Service::TensorBoard) {
        return Ok(None);
    }
    let folder = prepared.folder();
    let is_resumed = prepared
        .resumed()
        .is_some_and(|resume| is_below(&resume.adapter, folder));
    let name = args.reports.project_name.as_deref();
    let part = (is_resumed, prepared.steps());
    Writer::new(folder, name, part).map(Some)
}

fn is_below(path: &Path, folder: &Path) -> bool {
    let paths = (path.canonicalize(), folder.canonicalize());
    matches!(&paths, (Ok(path), Ok(folder)) if path.starts_with(folder))
}

/// Writes an event. A disk that takes no more of them ends them, not the run.
pub fn write(writer: &mut Option<Writer>, event: &Event) {
    let Some(open) = writer else {
        return;
    };
    if let Err(error) = open.write(event) {
        tracing::warn!("no more event files are written: {}", error.message());
        *writer = None;
    }
}
