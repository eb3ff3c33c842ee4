//! Why a condition is as it is: one closed list for the whole house, each with the text of its documentation.

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// The `reason` of conditions and Kubernetes Events. Stable: alerts and scripts match on it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason { $($(#[doc = $doc])+ $name,)+ }

        impl Reason {
            /// All of them, for documentation and metrics.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// As it stands in `reason`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)+ }
            }

            /// What it means and what helps, for documentation.
            pub const fn doc(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc,)+).trim_ascii(),)+ }
            }
        }
    };
}

reasons! {
    // A Delivery's admission.
    /// The Delivery may be carried out.
    Admitted,
    /// `spec.seller` names no Seller of this namespace. Create it, or label the namespace `waybill.dev/auto-create: enabled`.
    SellerMissing,
    /// `spec.carrier` names no Carrier of this namespace. Create it, or label the namespace `waybill.dev/auto-create: enabled`.
    CarrierMissing,
    /// `spec.carrier` is empty: the Delivery waits until someone names a Carrier.
    CarrierUnassigned,
    /// Another Delivery of this namespace that is still running has the same `spec.upc`, and was admitted or made before.
    DuplicateUpc,
    /// An order with this `spec.upc` was forgotten in this namespace: a new one takes another UPC.
    UpcForgotten,
    /// The Seller has `spec.suspended: true`.
    SellerSuspended,
    /// The Carrier has `spec.suspended: true`.
    CarrierSuspended,
    /// The Carrier has `spec.revoked: true`: name another one.
    CarrierRevoked,
    /// The Carrier that accepted the job was deleted and made anew under the same name: it is not the same agent.
    CarrierReplaced,
    /// The Seller was deleted and made anew under the same name while the parcel was under way: its keys are gone.
    SellerReplaced,
    /// `spec.proof` asks for a photo or a scan, and the Carrier has no camera.
    CameraRequired,
    /// A Seller or Carrier was created because a Delivery names it.
    AutoCreated,
    /// `spec.cancelled` is set.
    Cancelled,
    /// The finished Delivery was removed, as `spec.ttlAfterFinished` asks for.
    Expired,

    // Waiting for the two ends.
    /// The Seller is not ready yet.
    SellerNotReady,
    /// The Carrier is not ready yet.
    CarrierNotReady,
    /// What is needed is being made.
    Provisioning,
    /// Everything that is needed is there.
    Provisioned,
    /// The annotation `waybill.dev/paused` is set: the operator leaves the object alone.
    Paused,
    /// `spec.suspended: true`: nothing new is taken on.
    Suspended,
    /// `spec.revoked: true`: its certificates are revoked for good.
    Revoked,
    /// Nothing has moved for longer than allowed.
    Stalled,
    /// The specification cannot be carried out as it stands; the message says what to change.
    InvalidSpec,
    /// The API server refused or failed; the operator tries again.
    ReconcileFailed,

    // Identity.
    /// Certificate and key statement are valid and current.
    Issued,
    /// A new certificate or statement is on its way; the old one still serves.
    Renewing,
    /// The certificate authority is being set up or cannot be read.
    AuthorityUnavailable,
    /// `external.csr` cannot be used: not a signing request, a weak key, or a signature that does not fit.
    CsrRejected,
    /// `external.keys` cannot be used: a key or its proof of possession is not valid.
    KeyRejected,
    /// The private keys of a running participant are gone; a person has to decide.
    KeyLost,

    // Workloads.
    /// The pods are available.
    WorkloadAvailable,
    /// The pods are being started or replaced.
    WorkloadProgressing,
    /// The pods do not become available; see their events.
    WorkloadUnavailable,
    /// No pods are needed: the Carrier's agent runs elsewhere.
    WorkloadNotNeeded,

    // Orders.
    /// The orders can be read.
    OrdersRead,
    /// A Secret named in `spec.orders` does not exist.
    OrdersMissing,
    /// A key of an orders Secret holds no valid order; the message names Secret and key.
    OrderMalformed,
    /// No order has the Delivery's UPC.
    OrderUnknown,
    /// The order system at `spec.url` does not answer, or not as it should.
    OrdersUnreachable,
    /// The order changed too often, or is another one each time it is read: nothing of it is released until it stays.
    AddressUnstable,
    /// `spec.forgotten` is set and the order is still there: delete it.
    OrderNotDeleted,
    /// `spec.url` is not on the list of order systems the chart allows.
    OrdersUrlForbidden,

    // Notifications.
    /// Everything there was to tell is told.
    Notified,
    /// A receiver of `spec.notify` does not take what it is told: it is tried again, more and more rarely.
    NotifyFailing,
    /// A receiver was tried for as long as is tried, or said that it wants no more: what it was not told is kept in ConfigMap
    /// `wb-seller-<name>-notices`.
    NotifyGivenUp,
    /// A host in `spec.notify` is not on the list of hosts the chart allows.
    NotifyHostForbidden,
    /// A Secret named in `spec.notify` does not exist, or has not the keys it should have.
    NotifySecretMissing,

    // The parcel's own way; also the reasons of the conditions Accepted, PickedUp, Delivered and Proven.
    /// Nobody has accepted the job yet.
    AwaitingAcceptance,
    /// The carrier's agent does not take the job; the message has its reason.
    CarrierDeclined,
    /// No key statement of a participant counts now: it expired, or is not there yet. Its agent has to renew it.
    KeyNotCurrent,
    /// A participant's key is another one than the log knows, and the old one has not signed the change.
    KeyRotated,
    /// A carrier's agent has accepted the job.
    Accepted,
    /// Accepted, but the parcel is not handed over yet.
    AwaitingHandOver,
    /// Both sides signed the hand-over.
    PickedUp,
    /// The parcel is on its way.
    UnderWay,
    /// The last attempt failed; the log says whose cause and what happened.
    AttemptFailed,
    /// As many attempts as `spec.maxAttempts` allows have failed.
    AttemptsExhausted,
    /// The parcel waits; the message says for what.
    OnHold,
    /// The parcel's label is not the one of this Delivery: the door stays closed.
    LabelMismatch,
    /// The recipient did not take the parcel.
    Refused,
    /// The parcel was reported damaged.
    Damaged,
    /// The parcel was reported lost.
    Lost,
    /// Nobody fetched the parcel in time.
    NotCollected,
    /// The carrier says it gave the parcel back: set `spec.returnReceived: true` once it is there.
    AwaitingReturn,
    /// `spec.countersigned` names something the Seller does not countersign; the message says why.
    CountersignRefused,
    /// The API server refuses what the Seller wants to add to the log.
    LogRefused,
    /// The parcel is on its way back.
    ReturnToSender,
    /// The parcel is back with the seller.
    Returned,
    /// The parcel was delivered.
    Delivered,
    /// The proof asked for is not in the log yet.
    AwaitingProof,
    /// The proof asked for is in the log.
    ProofAttached,
    /// A `Corrected` event changed what the log says.
    Corrected,
    /// The log has no room left but for endings.
    LogFull,
    /// An event in the log is not valid; nothing builds on it.
    InvalidEvent,
    /// The order was erased; the proof stays valid.
    Forgotten,
    /// The proof bundle is in the archive.
    Archived,

    // Any object.
    /// It does not follow its kind's schema, as one stored under another version may not: it is left as it is until it does.
    Unreadable,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}
