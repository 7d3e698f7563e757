//! Methods that fill a text up to a width.

use super::super::error::{Error, Result};
use super::super::render::{Args, Render};
use super::super::text::left_of_centre;
use super::super::value::{Text, Value};
use super::{int_argument, text_argument};

pub(super) fn call(render: &Render<'_>, text: &Text, name: &str, args: Args) -> Result<Value> {
    let source = &*text.text;
    let padded = match name {
        "zfill" => zfill(render, source, args)?,
        "expandtabs" => expandtabs(render, source, args)?,
        _ => justified(render, source, name, args)?,
    };
    Ok(Value::text(padded, text.escaped))
}

/// A width of Python as a length.
fn width_of(value: Option<&Value>, name: &str) -> Result<usize> {
    let width = int_argument(value, name, false)?;
    let width = width.ok_or_else(|| Error::render(format!("{name}() needs a width")))?;
    Ok(usize::try_from(width.max(0)).unwrap_or(usize::MAX))
}

fn zfill(render: &Render<'_>, text: &str, args: Args) -> Result<String> {
    let [width] = args.bind_positional("zfill")?;
    let width = width_of(width.as_ref(), "zfill")?;
    let missing = width.saturating_sub(text.chars().count());
    render.budget.text(text.len().saturating_add(missing))?;
    let sign = usize::from(text.starts_with(['-', '+']));
    let (sign, digits) = text.split_at(sign);
    Ok([sign, &"0".repeat(missing), digits].concat())
}

fn justified(render: &Render<'_>, text: &str, name: &str, args: Args) -> Result<String> {
    let [width, fill] = args.bind_positional(name)?;
    let width = width_of(width.as_ref(), name)?;
    let fill = match &fill {
        None => " ",
        fill => text_argument(fill.as_ref(), name)?,
    };
    if fill.chars().count() != 1 {
        return Err(Error::render(
            "The fill character must be exactly one character long",
        ));
    }
    let missing = width.saturating_sub(text.chars().count());
    let filled = missing.saturating_mul(fill.len());
    render.budget.text(text.len().saturating_add(filled))?;
    let left = match name {
        "ljust" => 0,
        "rjust" => missing,
        _ => left_of_centre(missing, width),
    };
    Ok([&*fill.repeat(left), text, &*fill.repeat(missing - left)].concat())
}

/// `expandtabs(tabsize=8)`.
fn expandtabs(render: &Render<'_>, text: &str, args: Args) -> Result<String> {
    let [size] = args.bind("expandtabs", ["tabsize"])?;
    let size = int_argument(size.as_ref(), "expandtabs", false)?.unwrap_or(8);
    let size = usize::try_from(size.max(0)).unwrap_or(usize::MAX);
    let n_tabs = text.matches('\t').count();
    render
        .budget
        .text(text.len().saturating_add(n_tabs.saturating_mul(size)))?;
    let mut out = String::with_capacity(text.len());
    let mut column = 0;
    for c in text.chars() {
        match c {
            '\t' if size > 0 => {
                let blanks = size - column % size;
                out.push_str(&" ".repeat(blanks));
                column += blanks;
            }
            '\t' => {}
            '\n' | '\r' => {
                out.push(c);
                column = 0;
            }
            c => {
                out.push(c);
                column += 1;
            }
        }
    }
    Ok(out)
}
