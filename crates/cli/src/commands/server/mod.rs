//! Server: OpenAI's interface over HTTP.

mod args;
mod models;

pub use args::Args;

use super::Context;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use metal_candle_serve::Server;

/// Answers until it is interrupted.
///
/// # Errors
/// When something that was given cannot be used, or the address cannot be had.
pub fn run(args: Args, context: &Context) -> Result<Exit> {
    let terminal = &context.terminal;
    // A port that is taken is known before a model is read.
    let server = bind(&args)?;
    let interrupt = Interrupt::listen(
        terminal,
        "Finishing the answers that are under way; press Ctrl-C again to quit at once.",
    )?;
    let loaded = models::load(&args, terminal)?;
    let catalogue = models::catalogue(&args, &loaded, terminal)?;
    let address = server.address().map_err(Error::failed)?;
    terminal.say(format_args!(
        "Serving {} at http://{address}/v1",
        args.model
    ));
    let model = &loaded.model;
    let served = interrupt
        .awaited_by(|| server.run(model, catalogue, args.settings(), || interrupt.is_asked()));
    served.map_err(|source| Error::failed(format!("cannot serve: {source}")))?;
    Ok(match interrupt.is_asked() {
        true => Exit::Interrupted,
        false => Exit::Done,
    })
}

fn bind(args: &Args) -> Result<Server> {
    let (host, port) = (&args.host, args.port);
    Server::bind(host, port).map_err(|source| {
        Error::input(format!("cannot listen at {host}:{port}: {source}"))
            .with_advice("choose another with --host and --port; --port 0 takes one that is free")
    })
}
