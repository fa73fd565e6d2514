//! How messages are read: prost's way, and with the contract's error for what is none.

use std::marker::PhantomData;

use prost::Message;
use tonic::codec::{BufferSettings, DecodeBuf, Decoder};
use tonic::{Code, Status};
use tonic_prost::ProstCodec;

use crate::calls::CALL;
use crate::refusal;

/// The codec of the code that `hsu_build` makes.
pub struct Codec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for Codec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> tonic::codec::Codec for Codec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = <ProstCodec<T, U> as tonic::codec::Codec>::Encoder;
    type Decoder = Reader<<ProstCodec<T, U> as tonic::codec::Codec>::Decoder>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<T, U>::default().encoder()
    }

    fn decoder(&mut self) -> Self::Decoder {
        Reader(ProstCodec::<T, U>::default().decoder())
    }
}

/// Tells the call that its handler is about to have the request.
pub struct Reader<D>(D);

impl<D: Decoder<Error = Status>> Decoder for Reader<D> {
    type Item = D::Item;
    type Error = Status;

    fn decode(&mut self, source: &mut DecodeBuf<'_>) -> Result<Option<D::Item>, Status> {
        let read = self.0.decode(source).map_err(|error| {
            let text = format!("the bytes are not the method's request: {}", error.message());
            refusal::with_reason(Code::InvalidArgument, "MALFORMED_REQUEST", text)
        })?;
        // Core's calls are none of those that are counted.
        let _ = CALL.try_with(|call| call.dispatch());
        Ok(read)
    }

    fn buffer_settings(&self) -> BufferSettings {
        self.0.buffer_settings()
    }
}
