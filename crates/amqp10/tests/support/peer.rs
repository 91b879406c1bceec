//! A peer of frames: it sees exactly what is on the wire, and when.

use amqp10::codec::{
    Attach, Begin, Channel, Close, Detach, Encode, End, Flow, Frame, FrameType, Handle, IntoOwned, Milliseconds, Open,
    Performative, ProtocolHeader, Reader, Role, SequenceNo, Transfer, TransferNumber, encode_frame, next_frame,
};
use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::Instant;

/// What came, and when the last octet of it was read.
#[derive(Debug)]
pub(crate) enum Seen {
    Heartbeat(Instant),
    Frame(Instant, Performative<'static>),
    Eof(Instant),
}

impl Seen {
    pub(crate) fn at(&self) -> Instant {
        match self {
            Self::Heartbeat(at) | Self::Frame(at, _) | Self::Eof(at) => *at,
        }
    }
}

fn owned(performative: Performative<'_>) -> Performative<'static> {
    match performative {
        Performative::Open(open) => Performative::Open(Box::new(open.into_owned())),
        Performative::Begin(begin) => Performative::Begin(Box::new(begin.into_owned())),
        Performative::Attach(attach) => Performative::Attach(Box::new(attach.into_owned())),
        Performative::Flow(flow) => Performative::Flow(flow.into_owned()),
        Performative::Transfer(transfer) => Performative::Transfer(transfer.into_owned()),
        Performative::Disposition(disposition) => Performative::Disposition(disposition.into_owned()),
        Performative::Detach(detach) => Performative::Detach(detach.into_owned()),
        Performative::End(end) => Performative::End(end.into_owned()),
        Performative::Close(close) => Performative::Close(close.into_owned()),
    }
}

pub(crate) struct Peer {
    stream: DuplexStream,
    input: BytesMut,
    /// What it grants to senders.
    pub(crate) credit: u32,
    pub(crate) window: u32,
}

impl Peer {
    /// Exchanges headers and opens.
    pub(crate) async fn open(stream: DuplexStream, idle_time_out: Option<u32>) -> Self {
        let mut peer = Self { stream, input: BytesMut::new(), credit: 1000, window: 1000 };
        peer.write(&ProtocolHeader::AMQP.to_octets()).await;
        let open = Open { idle_time_out: idle_time_out.map(Milliseconds), ..Open::new("peer") };
        let open = Open { max_frame_size: 64 * 1024, ..open };
        peer.send(&open).await;
        while peer.input.len() < ProtocolHeader::SIZE {
            peer.stream.read_buf(&mut peer.input).await.unwrap();
        }
        assert_eq!(peer.input.split_to(ProtocolHeader::SIZE), ProtocolHeader::AMQP.to_octets()[..]);
        assert!(matches!(peer.next().await, Seen::Frame(_, Performative::Open(_))));
        peer
    }

    /// The stream, of which nothing is read ahead.
    pub(crate) fn into_stream(self) -> DuplexStream {
        assert!(self.input.is_empty());
        self.stream
    }

    async fn write(&mut self, octets: &[u8]) {
        // The other side may have gone.
        let _ = self.stream.write_all(octets).await;
    }

    pub(crate) async fn send(&mut self, body: &impl Encode) {
        self.send_with(body, &[]).await;
    }

    pub(crate) async fn send_with(&mut self, body: &impl Encode, payload: &[u8]) {
        let mut frame = Vec::new();
        encode_frame(FrameType::Amqp, Channel(0), body, &mut frame);
        frame.extend_from_slice(payload);
        let size = u32::try_from(frame.len()).unwrap();
        frame[..4].copy_from_slice(&size.to_be_bytes());
        self.write(&frame).await;
    }

    pub(crate) async fn heartbeat(&mut self) {
        self.write(&[0, 0, 0, 8, 2, 0, 0, 0]).await;
    }

    /// A delivery of one transfer on handle 0.
    pub(crate) async fn deliver(&mut self, id: u32, payload: &[u8]) {
        let transfer = Transfer {
            delivery_id: Some(amqp10::codec::DeliveryNumber(id)),
            delivery_tag: Some(u64::from(id).into()),
            settled: Some(true),
            ..Transfer::new(Handle(0))
        };
        self.send_with(&transfer, payload).await;
    }

    /// Reads one octet of a frame.
    pub(crate) async fn read_octet(&mut self) {
        self.input.extend_from_slice(&[self.stream.read_u8().await.unwrap()]);
    }

    /// Reads one frame.
    pub(crate) async fn next(&mut self) -> Seen {
        loop {
            if let Some(Frame { header, body }) = next_frame(&self.input, u32::MAX).unwrap() {
                let seen = if body.is_empty() {
                    Seen::Heartbeat(Instant::now())
                } else {
                    Seen::Frame(Instant::now(), owned(Reader::sized(body).read().unwrap()))
                };
                let _ = self.input.split_to(header.size as usize);
                return seen;
            }
            match self.stream.read_buf(&mut self.input).await {
                Ok(0) | Err(_) => return Seen::Eof(Instant::now()),
                Ok(_) => {}
            }
        }
    }

    /// Reads one frame, and answers it as a friendly peer does.
    pub(crate) async fn serve(&mut self) -> Seen {
        let seen = self.next().await;
        if let Seen::Frame(_, performative) = &seen {
            match performative {
                Performative::Begin(_) => {
                    let begin = Begin::new(TransferNumber(0), self.window, 1000);
                    self.send(&Begin { remote_channel: Some(Channel(0)), ..begin }).await;
                }
                Performative::Attach(attach) => self.attach(attach).await,
                Performative::Detach(detach) => self.send(&Detach { error: None, ..detach.clone() }).await,
                Performative::End(_) => self.send(&End { error: None }).await,
                Performative::Close(_) => self.send(&Close { error: None }).await,
                _ => {}
            }
        }
        seen
    }

    async fn attach(&mut self, attach: &Attach<'static>) {
        let role = if attach.role == Role::Sender { Role::Receiver } else { Role::Sender };
        let answer = Attach {
            source: attach.source.clone(),
            target: attach.target.clone(),
            initial_delivery_count: (role == Role::Sender).then_some(SequenceNo(0)),
            ..Attach::new(attach.name.clone(), attach.handle, role)
        };
        self.send(&answer).await;
        if role == Role::Receiver {
            self.flow(0).await;
        }
    }

    /// Grants credit and window, `arrived` transfers having arrived.
    pub(crate) async fn flow(&mut self, arrived: u32) {
        let flow = Flow {
            next_incoming_id: Some(TransferNumber(arrived)),
            incoming_window: self.window,
            next_outgoing_id: TransferNumber(0),
            outgoing_window: 1000,
            handle: Some(Handle(0)),
            delivery_count: Some(SequenceNo(0)),
            link_credit: Some(self.credit),
            available: None,
            drain: false,
            echo: false,
            properties: None,
        };
        self.send(&flow).await;
    }
}

/// Lets the peer serve until the future is ready.
pub(crate) async fn served<F: Future>(peer: &mut Peer, future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    loop {
        tokio::select! {
            output = &mut future => return output,
            _ = peer.serve() => {}
        }
    }
}
