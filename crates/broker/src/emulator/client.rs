//! One client of the emulator: what it may do, and what it gets.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use amqp10::codec::SenderSettleMode;
use amqp10::transport::sasl::Verdict;
use amqp10::transport::{AcceptError, AcceptOptions, TlsServer};
use amqp10::{
    Connection, ConnectionError, DeliveryState, Error, ErrorCondition, IncomingConnection, IncomingSession, Listener,
    SendError, Sender, ServerBuilder, Session, SessionConfig, SessionError,
};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::{sleep, timeout};

use super::Service;
use super::access::Client;
use super::network::{Network, Working};
use crate::{End, Lease, Queue};

/// How many clients may be connected or connecting, whatever group they will be of.
const MOST_STREAMS: usize = 4096;
/// How long to wait after the system refused a socket.
const REFUSED_PAUSE: Duration = Duration::from_millis(50);

/// Why a client is served no more.
#[derive(Debug, thiserror::Error)]
enum Gone {
    #[error(transparent)]
    Accept(#[from] AcceptError),
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    #[error("its open was refused: {0}")]
    Refused(Error<'static>),
}

/// Serves whoever connects.
pub(super) async fn accept(listener: Listener, tls: TlsServer, service: Arc<Service>, network: Arc<Network>) {
    let mut options = AcceptOptions::default();
    options.tls = Some(tls);
    options.time_limit = service.rules.authenticate_within;
    let options = Arc::new(options);
    let streams = Arc::new(tokio::sync::Semaphore::new(MOST_STREAMS));
    loop {
        let incoming = match listener.accept().await {
            Ok(incoming) => incoming,
            Err(error) => {
                tracing::warn!(%error, "a client could not be accepted");
                sleep(REFUSED_PAUSE).await;
                continue;
            }
        };
        let permit = Arc::clone(&streams).try_acquire_owned();
        let (Some(cuts), Ok(permit)) = (network.cuts(), permit) else { continue };
        let (options, service, network) = (Arc::clone(&options), Arc::clone(&service), Arc::clone(&network));
        tokio::spawn(async move {
            let peer = incoming.peer_addr();
            tokio::select! {
                result = serve(incoming, &options, &service, &network, cuts) => match result {
                    Ok(()) => tracing::debug!(%peer, "a client has left"),
                    Err(error) => tracing::info!(%peer, %error, "a client is gone"),
                },
                () = network.cut_off(cuts) => tracing::debug!(%peer, "a client was cut off"),
            }
            drop(permit);
        });
    }
}

async fn serve(
    incoming: IncomingConnection,
    options: &AcceptOptions,
    service: &Arc<Service>,
    network: &Arc<Network>,
    cuts: u64,
) -> Result<(), Gone> {
    let rules = &service.rules;
    let mut client = None;
    let judge = async |attempt| match service.access.judge(&attempt) {
        Ok(judged) => {
            client = Some(judged);
            Verdict::Accept
        }
        Err(refusal) => {
            tracing::info!(%refusal, "a sign-in was refused");
            Verdict::Refuse
        }
    };
    let stream = incoming.authenticate(options, judge).await?;
    let settings = ServerBuilder::new()
        .container_id("iot-emulator")
        .max_frame_size(rules.max_frame_size)
        .idle_time_out(Some(rules.own_idle_time_out))
        .answer_time_out(rules.attach_within);
    let pending = stream.open(settings).await?;
    let Some(client) = client else { return Ok(()) };
    let announced = pending.remote_open().and_then(|open| open.idle_time_out).map_or(0, |time| time.0);
    let heartbeat = Duration::from_millis(announced.into());
    if !rules.heartbeat.contains(&heartbeat) {
        let (least, most) = (rules.heartbeat.start().as_millis(), rules.heartbeat.end().as_millis());
        let text = format!("idle-time-out {announced} ms is not acceptable: it must be from {least} to {most} ms");
        let error = Error::new(ErrorCondition::NOT_ALLOWED, text);
        pending.refuse(error.clone()).await;
        return Err(Gone::Refused(error));
    }
    // The service measures a client's silence against what the client announced.
    let settings = pending.settings().idle_time_out(Some(heartbeat.min(rules.own_idle_time_out)));
    let connection = pending.accept(settings.silence_limit(heartbeat)).await?;
    let Some(_registered) = network.register(&client.group, &connection, cuts, rules.connections) else {
        let error = Error::new(ErrorCondition::RESOURCE_LIMIT_EXCEEDED, "too many connections of this consumer group");
        connection.close_with(Some(error.clone())).await;
        return Err(Gone::Refused(error));
    };
    tracing::info!(client = %client.id, group = %client.group, "a client has opened a connection");
    serve_connection(&connection, Arc::new(client), service, network).await
}

async fn serve_connection(
    connection: &Connection,
    client: Arc<Client>,
    service: &Arc<Service>,
    network: &Arc<Network>,
) -> Result<(), Gone> {
    let attached = Arc::new(AtomicBool::new(false));
    let mut overdue = std::pin::pin!(sleep(service.rules.attach_within));
    let mut in_time = false;
    loop {
        tokio::select! {
            biased;
            end = connection.closed() => {
                return match end {
                    ConnectionError::Closed | ConnectionError::ClosedByPeer(None) => Ok(()),
                    other => Err(other.into()),
                };
            }
            Some(session) = connection.next_session() => {
                let (client, service, network) = (Arc::clone(&client), Arc::clone(service), Arc::clone(network));
                tokio::spawn(serve_session(session, client, service, network, Arc::clone(&attached)));
            }
            () = &mut overdue, if !in_time => {
                in_time = attached.load(Ordering::Acquire);
                if !in_time {
                    let error = Error::new(ErrorCondition::NOT_ALLOWED, "no receiver was attached in time");
                    connection.close_with(Some(error)).await;
                }
            }
        }
    }
}

async fn serve_session(
    session: IncomingSession,
    client: Arc<Client>,
    service: Arc<Service>,
    network: Arc<Network>,
    attached: Arc<AtomicBool>,
) {
    match session.accept(SessionConfig::default()).await {
        Ok(session) => serve_links(&session, &client, &service, &network, &attached).await,
        Err(error) => tracing::debug!(%error, "a session could not be begun"),
    }
}

async fn serve_links(
    session: &Session,
    client: &Client,
    service: &Arc<Service>,
    network: &Arc<Network>,
    attached: &Arc<AtomicBool>,
) {
    let refusal = |text: &'static str| Error::new(ErrorCondition::NOT_ALLOWED, text);
    while let Some(link) = session.next_link().await {
        if !link.wants_to_receive() {
            link.refuse(refusal("messages cannot be sent here: the subscription has receivers only"));
            continue;
        }
        let Some(group) = service.groups.get(&client.group) else { continue };
        if attached.swap(true, Ordering::AcqRel) {
            link.refuse(refusal("a connection has exactly one receiver"));
            continue;
        }
        match link.accept_sender().await {
            Ok(sender) => {
                tracing::info!(client = %client.id, "a receiver was attached");
                let (service, group) = (Arc::clone(service), Arc::clone(group));
                let (working, attached) = (network.working(), Arc::clone(attached));
                // Not ended with the session: what becomes of the deliveries has to be booked.
                tokio::spawn(async move {
                    push(&sender, &group, &service, working).await;
                    attached.store(false, Ordering::Release);
                });
            }
            Err(error) => {
                attached.store(false, Ordering::Release);
                tracing::debug!(%error, "a receiver could not be attached");
            }
        }
    }
    let end: SessionError = session.ended().await;
    tracing::debug!(%end, "a session has ended");
}

/// Sends the messages of a group as fast as the receiver grants credit, until the link is over.
async fn push(sender: &Sender, group: &Arc<Queue>, service: &Service, _working: Working) {
    let mut in_flight = FuturesUnordered::new();
    loop {
        tokio::select! {
            biased;
            // First, so that a delivery just added is asked for before more credit is looked for.
            Some(()) = in_flight.next() => {}
            _ = sender.ended() => break,
            Ok(lease) = next(sender, group) => in_flight.push(deliver(sender, lease, service)),
        }
    }
    while in_flight.next().await.is_some() {}
}

async fn next(sender: &Sender, group: &Arc<Queue>) -> Result<Lease, amqp10::LinkError> {
    // No message is taken for a receiver that has not asked for it.
    sender.ready().await?;
    Ok(group.lease().await)
}

async fn deliver(sender: &Sender, lease: Lease, service: &Service) {
    let rules = &service.rules;
    let outcome = timeout(rules.acknowledge_within, sender.send_slices(vec![lease.octets()], false)).await;
    let (end, pause) = match outcome {
        Err(_) | Ok(Err(SendError::TimedOut)) => (End::TimedOut, rules.retry_after),
        Ok(Ok(Some(DeliveryState::Accepted))) => (End::Accepted, Duration::ZERO),
        Ok(Ok(None)) if sender.remote_attach().snd_settle_mode == SenderSettleMode::Settled => {
            (End::Accepted, Duration::ZERO)
        }
        Ok(Ok(Some(DeliveryState::Released) | None)) => (End::Released, rules.retry_after),
        Ok(Ok(Some(_))) => (End::Rejected, rules.retry_after),
        Ok(Err(SendError::InDoubt(_))) => (End::Lost, Duration::ZERO),
        // Nothing has left: the lease gives the message back by itself.
        Ok(Err(SendError::NotSent(_))) => return,
        Ok(Err(error)) => {
            tracing::warn!(%error, "a message could not be sent");
            return lease.postpone(rules.retry_after);
        }
    };
    lease.end(end, pause);
}
