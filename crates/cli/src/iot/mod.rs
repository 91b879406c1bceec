//! `amqp10 iot`.

pub(crate) mod emulate;
mod keys;
mod line;
pub(crate) mod receive;
