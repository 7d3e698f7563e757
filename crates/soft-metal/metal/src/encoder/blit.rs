//! `MTLBlitCommandEncoder`: copies and fills of buffers.

use super::encoder_class;
use crate::buffer::SoftBuffer;
use crate::counts;
use crate::event::SoftFence;
use crate::gpu::{Access, Command};
use crate::object::soft;
use crate::rules::{Rule, broken};
use objc2::runtime::ProtocolObject;
use objc2::{DefinedClass, Message};
use objc2_foundation::{NSObjectProtocol, NSRange};
use objc2_metal::{MTLBlitCommandEncoder, MTLBuffer, MTLCommandEncoder, MTLFence};

encoder_class!(SoftBlit, MTLBlitCommandEncoder, {
    #[unsafe(method(copyFromBuffer:sourceOffset:toBuffer:destinationOffset:size:))]
    unsafe fn copyFromBuffer_sourceOffset_toBuffer_destinationOffset_size(
        &self,
        source: &ProtocolObject<dyn MTLBuffer>,
        from: usize,
        target: &ProtocolObject<dyn MTLBuffer>,
        to: usize,
        n: usize,
    ) {
        let what = "copyFromBuffer:";
        let (source, target) = (soft::<SoftBuffer, _>(source).retain(), soft::<SoftBuffer, _>(target).retain());
        source.ivars().check_range(from, n, what);
        target.ivars().check_range(to, n, what);
        let (s, t) = (source.ivars().address() + from, target.ivars().address() + to);
        if s < t + n && t < s + n {
            let place = format!("{what} {n} bytes from {from} to {to} of the same buffer");
            broken(Rule::BlitOverlap, &self.ivars().name, place);
        }
        let work = Box::new(move || {
            // SAFETY: both ranges were checked, share nothing, and the accesses keep the buffers alive.
            unsafe { std::ptr::copy_nonoverlapping(s as *const u8, t as *mut u8, n) };
            Ok(())
        });
        let accesses = vec![Access::read(&source, from, n), Access::write(&target, to, n)];
        counts::blitted();
        self.ivars().push(what, Command::Run { what: "blit copy".into(), accesses, work });
    }

    #[unsafe(method(fillBuffer:range:value:))]
    fn fillBuffer_range_value(&self, buffer: &ProtocolObject<dyn MTLBuffer>, range: NSRange, value: u8) {
        let what = "fillBuffer:";
        let buffer = soft::<SoftBuffer, _>(buffer).retain();
        buffer.ivars().check_range(range.location, range.length, what);
        let p = buffer.ivars().address() + range.location;
        let work = Box::new(move || {
            // SAFETY: as above.
            unsafe { std::ptr::write_bytes(p as *mut u8, value, range.length) };
            Ok(())
        });
        let accesses = vec![Access::write(&buffer, range.location, range.length)];
        counts::blitted();
        self.ivars().push(what, Command::Run { what: "blit fill".into(), accesses, work });
    }
});
