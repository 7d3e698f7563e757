//! A thread for four pairs, and for four elements that are no part of one. One launch serves up to three tensors
//! of one width and dtype.

use super::{CacheSlot, Pair, Rope, RopePairs, per_head};
use crate::Result;
use crate::graph::{Function, Gradients, Kernel, Trace, Value};
use crate::metal::{FOUR, Launch, Output, Rows, RowsLayout, Source, device_of};
use candle_core::{D, Tensor};

const SOURCE: Source = Source {
    name: "rope",
    text: concat!(
        include_str!("../../metal/fours.metal"),
        include_str!("rope.metal")
    ),
};

/// Tensors of a launch at most.
const MOST: usize = 3;

/// `Turn` of `rope.metal`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Turn {
    from: RowsLayout,
    to: RowsLayout,
    tables: RowsLayout,
    first: u32,
    pairs: u32,
}

/// `Turns` of `rope.metal`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Turns {
    of: [Turn; MOST],
    width: u32,
    interleaved: u32,
    sign: f32,
    padding: u32,
}

/// A tensor, memory for what comes of it, and whether it is rotated or copied.
struct Move<'a> {
    from: &'a Tensor,
    to: &'a Tensor,
    is_rotated: bool,
}

pub(super) struct Metal;

impl Function<Rope, 1> for Metal {
    type Saved = ();

    fn forward(op: &Rope, [x]: [&Tensor; 1]) -> Result<(Value, ())> {
        let y = rotated(op, &[x], 1.0, unwritten)?.remove(0);
        Ok((Value::copied(&y)?, ()))
    }

    fn backward(op: &Rope, (): &(), trace: Trace<'_, 1>) -> Result<Gradients<1>> {
        let dx = rotated(op, &[trace.dy], -1.0, by_tokens)?.pop();
        Ok([dx])
    }
}

impl Kernel<Pair, 2, 2> for Metal {
    type Saved = ();

    fn forward(Pair(op): &Pair, inputs: [&Tensor; 2]) -> Result<([Value; 2], ())> {
        let y = rotated(op, &inputs, 1.0, unwritten)?;
        Ok(([Value::copied(&y[0])?, Value::copied(&y[1])?], ()))
    }

    fn backward(
        Pair(op): &Pair,
        (): &(),
        _: &[Tensor; 2],
        _: &[Tensor; 2],
        upstream: [Option<&Tensor>; 2],
    ) -> Result<Gradients<2>> {
        let given: Vec<&Tensor> = upstream.into_iter().flatten().collect();
        let mut gradients = rotated(op, &given, -1.0, by_tokens)?.into_iter();
        Ok(upstream.map(|dy| dy.and_then(|_| gradients.next())))
    }
}

/// Tensors rotated by the angles of the tables, or back where `sign` is -1, in memory that `new` gives.
fn rotated(
    rope: &Rope,
    tensors: &[&Tensor],
    sign: f32,
    new: fn(&Tensor) -> Result<Tensor>,
) -> Result<Vec<Tensor>> {
    let results = tensors.iter().map(|x| new(x));
    let results = results.collect::<Result<Vec<_>>>()?;
    let moves = tensors.iter().zip(&results).map(|(from, to)| Move {
        from,
        to,
        is_rotated: true,
    });
    turn(rope, sign, &moves.collect::<Vec<_>>())?;
    Ok(results)
}

/// Rotates the queries, and writes the keys, rotated, and the values to where the slots are: a launch for each.
pub(super) fn append(
    rope: &Rope,
    [q, k, v]: [&Tensor; 3],
    slots: &[CacheSlot<'_>],
) -> Result<Tensor> {
    let result = unwritten(q)?;
    let mut place = 0;
    for slot in slots {
        let of_span = |x: &Tensor| x.narrow(2, place, slot.tokens);
        let [q, k, v, to] = [of_span(q)?, of_span(k)?, of_span(v)?, of_span(&result)?];
        let [keys, values] = slot.views()?;
        let moves = [(&q, &to, true), (&k, &keys, true), (&v, &values, false)];
        let moves = moves.map(|(from, to, is_rotated)| Move {
            from,
            to,
            is_rotated,
        });
        turn(&rope.of_places(place, slot.tokens)?, 1.0, &moves)?;
        place += slot.tokens;
    }
    Ok(result)
}

fn unwritten(x: &Tensor) -> Result<Tensor> {
    let memory = Output::new(device_of(x)?, x.elem_count(), x.dtype())?;
    Ok(memory.into_tensor(x.shape()))
}

/// Memory for `(B, H, T, D)` in which the heads of a token lie side by side, as a layer left them: its gradient needs no copy.
fn by_tokens(x: &Tensor) -> Result<Tensor> {
    let (b, h, t, d) = x.dims4()?;
    let memory = Output::new(device_of(x)?, x.elem_count(), x.dtype())?;
    Ok(memory.into_tensor(&(b, t, h, d).into()).transpose(1, 2)?)
}

/// One launch for all moves.
fn turn(rope: &Rope, sign: f32, moves: &[Move<'_>]) -> Result<()> {
    let Some(Move { from: x, .. }) = moves.first() else {
        return Ok(());
    };
    let [cos, sin] = tables(rope)?;
    let of_heads = moves.iter().map(|m| per_head(&cos, m.from));
    let of_heads = of_heads.collect::<candle_core::Result<Vec<_>>>()?;
    let stored = moves.iter().zip(&of_heads);
    let stored: Vec<_> = stored
        .map(|(m, tables)| [m.from, m.to, tables].map(Tensor::storage_and_layout))
        .collect();
    let rows = stored
        .iter()
        .map(|parts| {
            let rows = |i: usize| Rows::of(&parts[i].0, parts[i].1);
            Ok([rows(0)?, rows(1)?, rows(2)?])
        })
        .collect::<Result<Vec<[Rows<'_>; 3]>>>()?;
    let (sin_storage, sin_layout) = sin.storage_and_layout();
    let sin = Rows::of(&sin_storage, sin_layout)?;
    let all: Vec<&Rows<'_>> = rows.iter().flatten().chain([&sin]).collect();
    let kernel = Rows::choose(&all, ["rope", "rope_fours"]);
    let turns = turns(rope, sign, moves, &rows)?;
    let types = [("T", x.dtype()), ("C", rope.cos.dtype())];
    let nth = |i: usize| rows.get(i).unwrap_or(&rows[0]);
    let [[from_0, to_0, tables], [from_1, to_1, _], [from_2, to_2, _]] = [nth(0), nth(1), nth(2)];
    let n_rows = rows.iter().map(|[from, ..]| from.count).sum();
    let threads = turns.of.iter().map(|turn| threads(*turn, from_0.width));
    Launch::new(device_of(x)?, &SOURCE, &types, kernel)?
        .more_rows(from_0)
        .more_rows(from_1)
        .more_rows(from_2)
        .more_rows(tables)
        .more_rows(&sin)
        .in_place(to_0.place())
        .in_place(to_1.place())
        .in_place(to_2.place())
        .constants(&turns)
        .over_elements(n_rows, threads.max().unwrap_or(1))?;
    Ok(())
}

/// Tensors that are missing are rotated as the first, so that they ask for no more threads, and have no rows.
fn turns(rope: &Rope, sign: f32, moves: &[Move<'_>], rows: &[[Rows<'_>; 3]]) -> Result<Turns> {
    let size = |size: usize| u32::try_from(size).map_err(candle_core::Error::wrap);
    let pairs = size(rope.cos.dim(D::Minus1)?)?;
    let [from, to, tables] = &rows[0];
    let mut of = [Turn {
        from: from.layout(),
        to: to.layout(),
        tables: tables.layout(),
        first: u32::MAX,
        pairs,
    }; MOST];
    let mut first = 0;
    for (turn, (m, [from, to, tables])) in of.iter_mut().zip(moves.iter().zip(rows)) {
        *turn = Turn {
            from: from.layout(),
            to: to.layout(),
            tables: tables.layout(),
            first: size(first)?,
            pairs: if m.is_rotated { pairs } else { 0 },
        };
        first += from.count;
    }
    Ok(Turns {
        of,
        width: size(from.width)?,
        interleaved: (rope.pairs == RopePairs::Interleaved).into(),
        sign,
        padding: 0,
    })
}

/// Threads of a row: those of fours of pairs, then those of fours of what is left.
fn threads(turn: Turn, width: usize) -> usize {
    let pairs = turn.pairs as usize;
    pairs.div_ceil(FOUR) + (width - 2 * pairs).div_ceil(FOUR)
}

/// The tables in one dtype and one layout. Tables that differ do not come from one model.
fn tables(rope: &Rope) -> Result<[Tensor; 2]> {
    let (cos, sin) = (&rope.cos, rope.sin.to_dtype(rope.cos.dtype())?);
    if cos.stride() == sin.stride() {
        return Ok([cos.clone(), sin]);
    }
    Ok([cos.contiguous()?, sin.contiguous()?])
}
