//! Command encoders: one open at a time, and everything they take becomes commands of a pass.

mod arguments;
mod blit;
mod compute;
mod skip;

pub use arguments::Arguments;
pub use blit::SoftBlit;
pub use compute::SoftCompute;
pub use skip::without_launches;

use crate::command_buffer::SoftCommandBuffer;
use crate::gpu::{Command, Op, Pass, lock};
use crate::object::Name;
use crate::rules::{Rule, broken, report};
use objc2::ClassType;
use objc2::DefinedClass;
use objc2::rc::Retained;
use std::sync::Mutex;

/// Instance variables of every encoder.
pub struct Encoder {
    commands: Retained<SoftCommandBuffer>,
    pass: Mutex<Option<Pass>>,
    pub arguments: Mutex<Arguments>,
    pub name: Name,
}

impl Encoder {
    pub fn new(commands: Retained<SoftCommandBuffer>, pass: Pass) -> Self {
        let name = Name::new(if pass.kind == "blit" { "blit encoder" } else { "compute encoder" });
        Self { commands, pass: Mutex::new(Some(pass)), arguments: Mutex::default(), name }
    }

    /// Takes a command; `what` is how a message about it begins.
    pub fn push(&self, what: &str, command: Command) {
        match &mut *lock(&self.pass) {
            Some(pass) => pass.commands.push(command),
            None => broken(Rule::CommandAfterEnd, &self.name, what),
        }
    }

    pub fn end(&self) {
        let Some(pass) = lock(&self.pass).take() else { broken(Rule::EndEncodingTwice, &self.name, "endEncoding") };
        let mut state = self.commands.state();
        state.open = None;
        state.ops.push(Op::Pass(pass));
    }

    /// The command buffer that it encodes into.
    pub fn command_buffer(&self) -> &SoftCommandBuffer {
        &self.commands
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        if lock(&self.pass).is_some() {
            let commands = &self.commands.ivars().name;
            report(Rule::EncoderReleasedOpen, &self.name, format!("released without endEncoding, in {commands}"));
        }
    }
}

/// A class of encoders: what all have in common, and its own methods.
macro_rules! encoder_class {
    ($class:ident, $protocol:ident, { $($methods:tt)* }) => {
        objc2::define_class!(
            #[unsafe(super(objc2::runtime::NSObject))]
            #[ivars = crate::encoder::Encoder]
            pub struct $class;

            unsafe impl NSObjectProtocol for $class {}

            unsafe impl MTLCommandEncoder for $class {
                #[unsafe(method(endEncoding))]
                fn endEncoding(&self) {
                    self.ivars().end();
                }

                #[unsafe(method_id(label))]
                fn label(&self) -> Option<objc2::rc::Retained<objc2_foundation::NSString>> {
                    self.ivars().name.label()
                }

                #[unsafe(method(setLabel:))]
                fn setLabel(&self, label: Option<&objc2_foundation::NSString>) {
                    self.ivars().name.set_label(label);
                }

                #[unsafe(method(insertDebugSignpost:))]
                fn insertDebugSignpost(&self, _text: &objc2_foundation::NSString) {}

                #[unsafe(method(pushDebugGroup:))]
                fn pushDebugGroup(&self, _text: &objc2_foundation::NSString) {}

                #[unsafe(method(popDebugGroup))]
                fn popDebugGroup(&self) {}
            }

            unsafe impl $protocol for $class {
                #[unsafe(method(updateFence:))]
                fn updateFence(&self, fence: &ProtocolObject<dyn MTLFence>) {
                    self.ivars().push("updateFence:", Command::UpdateFence(soft::<SoftFence, _>(fence).retain()));
                }

                #[unsafe(method(waitForFence:))]
                fn waitForFence(&self, fence: &ProtocolObject<dyn MTLFence>) {
                    self.ivars().push("waitForFence:", Command::WaitFence(soft::<SoftFence, _>(fence).retain(), 0));
                }

                $($methods)*
            }
        );
    };
}
pub(crate) use encoder_class;

pub fn install() {
    SoftBlit::class();
    SoftCompute::class();
}
