//! Who is woken when a task ends. Without an identity every task fails at once.

use super::*;
use crate::api::{self, Address};
use waybill_chassis::files::Files;
use waybill_chassis::metrics::Metrics;
use waybill_chassis::revocation;
use waybill_crds::carrier::CarrierKind;

fn agent() -> (tempfile::TempDir, Agent) {
    let dir = tempfile::tempdir().unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let tls = tls.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth();
    let clients = api::clients(watch::channel(Arc::new(tls)).1).unwrap();
    let identity = watch::channel(None).1;
    let (clock, address) =
        (Clock::system(), Address { set: None, published: watch::channel(Arc::new(Files::default())).1 });
    let shared = Shared {
        identity: identity.clone(),
        api: Api::new(clients, address, identity, clock.clone()),
        folder: Folder::open(dir.path()).unwrap(),
        simulator: Some(Simulator { kind: CarrierKind::Truck, pace: Duration::ZERO, script: Vec::new() }),
        camera: Camera::default(),
        profile: Profile { kind: CarrierKind::Truck, camera: false, alone: true },
        clock,
        link: watch::channel(None).1,
        revocations: revocation::channel().1,
        metrics: TransportMetrics::new(&Metrics::new("transport")),
        opening: Semaphore::new(1),
    };
    (dir, Agent::new(Arc::new(shared)))
}

#[tokio::test]
async fn a_task_that_failed_begins_again_only_where_no_other_took_its_place() {
    let (_dir, mut agent) = agent();
    let [first, other] = ["dddddddd-0000-4000-8000-000000000001", "dddddddd-0000-4000-8000-000000000002"]
        .map(|uid| Uid::new(uid).unwrap());
    for taken in [false, true] {
        agent.wake(first.clone(), None);
        let ended = agent.tasks.join_next_with_id().await.unwrap();
        let (mailbox, _hears) = mpsc::channel(1);
        if taken {
            agent.mailboxes.insert(first.clone(), mailbox.clone());
        }
        agent.ended(ended);
        assert_eq!(agent.tasks.len(), usize::from(!taken));
        assert_eq!(agent.mailboxes[&first].same_channel(&mailbox), taken);
        agent.tasks.shutdown().await;
    }
    // A panic wakes the one it happened to and no other that is just ending.
    let (closed, _) = mpsc::channel(1);
    agent.mailboxes.insert(other.clone(), closed.clone());
    let (dead, _) = mpsc::channel(1);
    agent.mailboxes.insert(first.clone(), dead.clone());
    let panicking = agent.tasks.spawn(async { panic!("as tasks do") });
    agent.whose.insert(panicking.id(), first.clone());
    let ended = agent.tasks.join_next_with_id().await.unwrap();
    agent.ended(ended);
    assert_eq!(agent.tasks.len(), 1);
    assert!(agent.mailboxes[&other].same_channel(&closed));
    assert!(!agent.mailboxes[&first].same_channel(&dead));
}

#[tokio::test]
async fn a_line_of_the_list_waits_for_room_and_a_frame_does_not() {
    let (_dir, mut agent) = agent();
    let delivery = Uid::new("dddddddd-0000-4000-8000-000000000001").unwrap();
    let (mailbox, mut hears) = mpsc::channel(1);
    agent.mailboxes.insert(delivery.clone(), mailbox);
    let frame = || Mail { input: Input::Heard(Vec::new()), reply: None };
    let upc = waybill_protocol::Upc::new("UPC_1").unwrap();
    let line = Input::Listed { upc, expected: 7, location: waybill_crds::delivery::LocationSharing::None };
    agent.tell(&delivery, None, frame());
    agent.tell(&delivery, None, frame());
    agent.tell(&delivery, None, Mail { input: line, reply: None });
    assert!(matches!(hears.recv().await.unwrap().input, Input::Heard(_)));
    assert!(matches!(hears.recv().await.unwrap().input, Input::Listed { expected: 7, .. }));
    assert!(hears.try_recv().is_err(), "the second frame is said again by its seller");
}
