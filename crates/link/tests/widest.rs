//! Frames in which every field is as wide as it gets, towards a peer that takes the smallest ones.

mod support;

use amqp10_codec::{
    Attach, DeliveryState, DeliveryTag, Error, ErrorCondition, Fields, Handle, Map, MessageFormat, Modified, Open,
    Performative, Reader, Rejected, Symbol, Target, TransactionId, TransferNumber, next_frame,
};
use amqp10_link::{
    CommandError, CreditMode, DeliveryStart, LinkConfig, LinkId, Replenish, SessionConfig, Terminus, TransactionEvent,
    UnsettledDelivery,
};
use bytes::BytesMut;
use support::scene::{config, receiving, sending};
use support::work::{EVERYTHING, id, transactions};
use support::{Checked, Pair, Script, Wire, drain, events, push, script};

const SMALLEST: u32 = 512;
const WIDEST: [u8; 32] = [0xff; 32];

/// A controller, the client, and a resource, with so many other links before those of interest.
struct Wide {
    pair: Pair,
    /// `post`, on which the client sends; `get`, on which the server does.
    post: [LinkId; 2],
    get: [LinkId; 2],
    buffers: [BytesMut; 2],
}

/// What a frame is, its size, and whether its state is one within the transaction.
type Frame = (&'static str, usize, bool);

fn wide_session() -> SessionConfig {
    let mut config = SessionConfig::default();
    config.handle_max = Handle(1_000);
    config.next_outgoing_id = TransferNumber(u32::MAX - 1_000);
    config
}

fn frames(mut octets: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    while let Some(frame) = next_frame(octets, SMALLEST).expect("a frame that the peer takes") {
        let size = frame.header.size as usize;
        octets = &octets[size..];
        let performative: Performative<'_> = Reader::sized(frame.body).read().unwrap();
        let state = match &performative {
            Performative::Transfer(transfer) => transfer.state.as_ref(),
            Performative::Disposition(disposition) => disposition.state.as_ref(),
            _ => None,
        };
        let within = matches!(state, Some(DeliveryState::Transactional(state)) if state.txn_id == id(&WIDEST));
        frames.push((performative.name(), size, within));
    }
    frames
}

impl Wide {
    fn new(fillers: usize) -> Self {
        let mut config = config();
        config.max_frame_size = SMALLEST;
        config.max_links = 1_000;
        let mut pair = Pair::opened(config.clone(), config);
        let (session, _) = pair.session(wide_session(), wide_session());
        let mut link = |client, server| {
            let link = pair.link(session, client, server);
            events(&mut pair.server);
            link
        };
        for n in 0..fillers {
            link(LinkConfig::sender(format!("filler {n}"), Target::at("queue")), receiving(""));
        }
        let mut resource = LinkConfig::coordinator(EVERYTHING);
        resource.credit = CreditMode::Automatic { window: 10, replenish: Replenish::Settled };
        let (control, _) = link(LinkConfig::controller("control", EVERYTHING), resource);
        let post = link(sending("post"), receiving(""));
        let mut acquired = sending("");
        acquired.transactional_acquisition = true;
        let mut getting = receiving("get");
        getting.credit = CreditMode::Manual;
        let get = link(getting, acquired);
        events(&mut pair.client);
        let mut wide = Self { pair, post: post.into(), get: get.into(), buffers: Default::default() };
        wide.declare(control);
        wide
    }

    /// Lets everything arrive, and tells what it was.
    fn run(&mut self) -> Vec<Frame> {
        let Pair { client, server, now, .. } = &mut self.pair;
        let [to_client, to_server] = &mut self.buffers;
        let mut told = Vec::new();
        loop {
            let (there, back) = (drain(client, *now), drain(server, *now));
            if there.is_empty() && back.is_empty() {
                return told;
            }
            told.extend(frames(&there));
            told.extend(frames(&back));
            push(Wire::Whole, server, to_server, &there, *now);
            push(Wire::Whole, client, to_client, &back, *now);
        }
    }

    fn declare(&mut self, control: LinkId) {
        self.pair.client.declare(control, None).unwrap();
        self.run();
        let [TransactionEvent::Declare { request, .. }] = transactions(events(&mut self.pair.server))[..] else {
            panic!()
        };
        self.pair.server.declare_accepted(request, Some(id(&WIDEST))).unwrap();
        self.run();
    }
}

/// Sends a delivery of several frames.
fn send(engine: &mut Checked, link: LinkId, transaction: Option<TransactionId>) {
    let mut sender = engine.sender(link).unwrap();
    let tag = Some(DeliveryTag::new(&WIDEST).unwrap());
    let start = DeliveryStart { tag, message_format: MessageFormat(u32::MAX), transaction, ..Default::default() };
    sender.deliver(start, vec![7; 2_000].into()).unwrap();
}

/// The sizes of the frames of this name, all of which are within the transaction, or none.
fn sizes(frames: &[Frame], name: &str, within: bool) -> Vec<usize> {
    let of_name: Vec<&Frame> = frames.iter().filter(|frame| frame.0 == name).collect();
    assert!(of_name.iter().all(|frame| frame.2 == within), "{of_name:?}");
    of_name.iter().map(|frame| frame.1).collect()
}

#[test]
fn work_in_a_transaction_leaves_room_for_the_widest_fields() {
    let mut wide = Wide::new(256);
    let ([post, posted], [get, sent]) = (wide.post, wide.get);
    send(&mut wide.pair.client, post, Some(id(&WIDEST)));
    let mut receiver = wide.pair.client.receiver(get).unwrap();
    receiver.acquire(id(&WIDEST)).unwrap();
    receiver.set_credit(1);
    let posts = sizes(&wide.run(), "transfer", true);
    send(&mut wide.pair.server, sent, None);
    let acquired = sizes(&wide.run(), "transfer", true);
    for transfers in [&posts, &acquired] {
        assert_eq!(transfers.len(), 6, "{transfers:?}");
        assert!(transfers.iter().all(|size| *size <= SMALLEST as usize), "{transfers:?}");
    }

    // Their states, not settled and then settled.
    for settled in [false, true] {
        for (engine, link) in [(&mut wide.pair.client, get), (&mut wide.pair.server, posted)] {
            let mut receiver = engine.receiver(link).unwrap();
            let key = receiver.by_tag(&DeliveryTag::new(&WIDEST).unwrap()).unwrap();
            let state = DeliveryState::Modified(Box::default());
            receiver.settle(key, state, settled).unwrap();
        }
        let dispositions = sizes(&wide.run(), "disposition", true);
        assert_eq!(dispositions.len(), 2);
        assert!(dispositions.iter().all(|size| *size <= SMALLEST as usize), "{dispositions:?}");
    }

    // Room is kept for the transaction in the frames that name it: it makes none larger.
    send(&mut wide.pair.client, post, None);
    let plain = sizes(&wide.run(), "transfer", false);
    for (within, without) in posts.iter().zip(&plain).take(4) {
        assert!(within <= without && *without <= SMALLEST as usize, "{posts:?}, and without a transaction {plain:?}");
    }
}

/// A rejection that explains itself in so many octets.
fn explained(octets: usize) -> DeliveryState<'static> {
    let error = Error::new(ErrorCondition::INTERNAL_ERROR, "x".repeat(octets));
    DeliveryState::Rejected(Box::new(Rejected { error: Some(error) }))
}

fn annotated(octets: usize) -> DeliveryState<'static> {
    let annotations = Fields::new().with(Symbol::from_static("x"), "x".repeat(octets));
    let message_annotations = Some(annotations);
    DeliveryState::Modified(Box::new(Modified {
        delivery_failed: Some(true),
        message_annotations,
        ..Modified::default()
    }))
}

#[test]
fn a_state_that_is_too_large_for_a_frame_is_told_shorter() {
    let bare = |condition: ErrorCondition<'static>| {
        let error = Error { condition, description: None, info: None };
        DeliveryState::Rejected(Box::new(Rejected { error: Some(error) }))
    };
    let failed = DeliveryState::Modified(Box::new(Modified { delivery_failed: Some(true), ..Modified::default() }));
    let endless = ErrorCondition::custom(Symbol::from_static("x".repeat(600).leak()));
    let none = DeliveryState::Rejected(Box::default());
    let table = [
        (explained(300), explained(300)),
        (explained(600), bare(ErrorCondition::INTERNAL_ERROR)),
        (bare(endless), none),
        (annotated(300), annotated(300)),
        (annotated(600), failed),
    ];
    for (told, heard) in table {
        for transactional in [false, true] {
            let mut wide = Wide::new(0);
            let ([post, posted], tag) = (wide.post, DeliveryTag::new(&WIDEST).unwrap());
            send(&mut wide.pair.client, post, transactional.then(|| id(&WIDEST)));
            wide.run();
            let mut receiver = wide.pair.server.receiver(posted).unwrap();
            let key = receiver.by_tag(&tag).unwrap();
            receiver.settle(key, told.clone(), false).unwrap();
            // No frame is too large.
            wide.run();
            let mut sender = wide.pair.client.sender(post).unwrap();
            let outcome = sender.next_outcome().unwrap().state;
            let outcome = match outcome {
                Some(DeliveryState::Transactional(state)) => state.outcome.map(DeliveryState::from),
                plain => plain,
            };
            assert_eq!(outcome, Some(heard.clone()));
            if !transactional {
                let key = sender.by_tag(&tag).unwrap();
                sender.settle(key, Some(told.clone())).unwrap();
                let told = sizes(&wide.run(), "disposition", false);
                assert_eq!(told.len(), 1);
            }
        }
    }
}

#[test]
fn an_outcome_that_is_too_large_for_a_frame_is_told_shorter_when_it_is_resumed() {
    let mut peer = Script::client(config(), Open { max_frame_size: SMALLEST, ..script::open() });
    let session = peer.engine.begin(wide_session()).unwrap();
    peer.send(10, &script::answer(0));
    let mut known = UnsettledDelivery::new(script::tag(7));
    known.state = Some(explained(600));
    let mut out = sending("out");
    out.terminus = Some(Terminus { unsettled: vec![known] });
    let link = peer.engine.attach(session, out).unwrap();
    let unsettled = Some(Map::new().with(script::tag(7), DeliveryState::Accepted));
    peer.send(10, &Attach { unsettled, ..script::receiver("out", 5) });
    peer.send(10, &script::credit(5, 0, 5));
    let mut sender = peer.engine.sender(link).unwrap();
    for doubt in sender.in_doubt() {
        sender.resolve(doubt.key, None).unwrap();
    }
    let frames = peer.frames();
    let Some((_, Performative::Transfer(transfer), _)) = frames.last() else { panic!("{frames:?}") };
    let error = Error { condition: ErrorCondition::INTERNAL_ERROR, description: None, info: None };
    let bare = DeliveryState::Rejected(Box::new(Rejected { error: Some(error) }));
    assert!(transfer.resume);
    assert_eq!(transfer.state, Some(bare));
}

#[test]
fn properties_of_a_link_that_are_too_large_for_a_frame_are_refused() {
    let mut wide = Wide::new(256);
    // The sender tells the transaction in which it acquires as well.
    let mut receiver = wide.pair.client.receiver(wide.get[0]).unwrap();
    receiver.acquire(id(&WIDEST)).unwrap();
    receiver.set_credit(u32::MAX);
    wide.run();
    let told = |octets: usize| Fields::new().with(Symbol::from_static("x"), "x".repeat(octets));
    let mut fits = [0; 2];
    for octets in 0..600 {
        let receiver = wide.pair.client.receiver(wide.get[0]).unwrap().set_properties(told(octets));
        let sender = wide.pair.server.sender(wide.get[1]).unwrap().set_properties(told(octets));
        let flows = sizes(&wide.run(), "flow", false);
        assert!(flows.iter().all(|size| *size <= SMALLEST as usize), "{flows:?}");
        assert_eq!(flows.len(), usize::from(receiver.is_ok()) + usize::from(sender.is_ok()), "{octets}: {flows:?}");
        for (most, told) in fits.iter_mut().zip([receiver, sender]) {
            match told {
                Ok(()) => *most = octets,
                Err(error) => assert!(matches!(error, CommandError::FrameTooLarge(size) if size > SMALLEST)),
            }
        }
    }
    assert!(fits.iter().all(|most| (350..450).contains(most)), "{fits:?} octets is the most that was taken");
}
