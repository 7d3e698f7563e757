//! Command buffers and encoders: what is allowed when.

use crate::common::*;
use crate::{blit, compute, recorded};
use objc2::rc::autoreleasepool;
use objc2::runtime::ProtocolObject;
use objc2_foundation::NSRange;
use objc2_metal::*;
use soft_metal::Rule;
use std::ptr::NonNull;

/// A closed encoder, so that dropping the rest of a test breaks nothing more.
fn with_open_encoder(gpu: &Gpu, f: impl FnOnce(&Commands)) -> String {
    let commands = gpu.commands();
    let encoder = blit(&commands);
    let message = message(|| f(&commands));
    encoder.endEncoding();
    message
}

rules! {
    encoding_after_commit breaks EncodeAfterCommit: |gpu| {
        let commands = gpu.commands();
        commands.commit();
        commands.waitUntilCompleted();
        message(|| drop(blit(&commands)))
    };
    commit_twice breaks CommitTwice: |gpu| {
        let commands = gpu.commands();
        commands.commit();
        message(|| commands.commit())
    };
    two_open_encoders breaks TwoOpenEncoders: |gpu| with_open_encoder(gpu, |c| drop(compute(c)));
    commit_with_an_open_encoder breaks CommitWithOpenEncoder: |gpu| with_open_encoder(gpu, |c| c.commit());
    event_with_an_open_encoder breaks EventWithOpenEncoder: |gpu| {
        let event = gpu.device.newEvent().expect("an event");
        with_open_encoder(gpu, |c| c.encodeSignalEvent_value(&event, 1))
    };
    an_encoder_released_while_open breaks EncoderReleasedOpen: |gpu| {
        autoreleasepool(|_| drop(blit(&gpu.commands())));
        recorded()
    };
    ending_twice breaks EndEncodingTwice: |gpu| {
        let commands = gpu.commands();
        let encoder = blit(&commands);
        encoder.endEncoding();
        message(|| encoder.endEncoding())
    };
    a_command_after_the_end breaks CommandAfterEnd: |gpu| {
        let (commands, b) = (gpu.commands(), gpu.buffer(&[0f32]));
        let encoder = blit(&commands);
        encoder.endEncoding();
        message(|| encoder.fillBuffer_range_value(&b, NSRange::new(0, 4), 0))
    };
    waiting_before_commit breaks WaitBeforeCommit: |gpu| message(|| gpu.commands().waitUntilCompleted());
    a_handler_after_commit breaks HandlerAfterCommit: |gpu| {
        let commands = gpu.commands();
        commands.commit();
        let block = block2::RcBlock::new(|_: NonNull<ProtocolObject<dyn MTLCommandBuffer>>| ());
        message(|| unsafe { commands.addCompletedHandler(block2::RcBlock::as_ptr(&block)) })
    };
}
