use super::message::Message;

/// Fields of `Event`.
mod field {
    pub const WALL_TIME: u32 = 1;
    pub const STEP: u32 = 2;
    pub const FILE_VERSION: u32 = 3;
    pub const SUMMARY: u32 = 5;
    pub const SESSION_LOG: u32 = 7;
}

/// `SessionLog.SessionStatus.START`.
const START: u64 = 1;

/// Message of an event file.
#[derive(Clone, Debug)]
pub struct Event(Message);

impl Event {
    /// Version of the format, with which a file begins.
    pub fn version(wall_time: f64) -> Self {
        let event = Message::default().double(field::WALL_TIME, wall_time);
        Self(event.bytes(field::FILE_VERSION, b"brain.Event:2"))
    }

    /// Start of a part of a run: what files have of `step` and later is void.
    pub fn start(wall_time: f64, step: usize) -> Self {
        let log = Message::default().integer(1, START);
        Self(at(wall_time, step).message(field::SESSION_LOG, &log))
    }

    /// Figures of a step: `Summary.Value` with a `tag` and a `simple_value` each.
    pub fn figures(wall_time: f64, step: usize, figures: &[(String, f64)]) -> Self {
        let value = |(tag, value): &(String, f64)| {
            let message = Message::default().bytes(1, tag.as_bytes());
            message.float(2, *value as f32)
        };
        let summary = figures.iter().map(value);
        let summary = summary.fold(Message::default(), |summary, value| {
            summary.message(1, &value)
        });
        Self(at(wall_time, step).message(field::SUMMARY, &summary))
    }

    /// The bytes of the message.
    pub fn encoded(&self) -> Vec<u8> {
        self.0.clone().into_bytes()
    }
}

fn at(wall_time: f64, step: usize) -> Message {
    let event = Message::default().double(field::WALL_TIME, wall_time);
    event.integer(field::STEP, step as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensorboard::record::framed;

    /// Records that TensorBoard's own writer made (`scripts/golden/tensorboard_events.py`).
    #[test]
    fn records_are_those_of_tensorboard() {
        let golden = include_bytes!("../../tests/golden/tensorboard/events");
        let figures = [
            (String::from("train/loss"), 2.5),
            (String::from("valid/loss"), f64::from(0.1_f32)),
        ];
        let events = [
            Event::version(1_700_000_000.25),
            Event::start(1_700_000_001.5, 300),
            Event::figures(1_700_000_002.75, 1_234_567, &figures),
        ];
        let bytes: Vec<u8> = events
            .iter()
            .flat_map(|event| framed(&event.encoded()))
            .collect();
        assert_eq!(bytes, golden);
    }
}
