use std::future::ready;
use std::pin::pin;
use std::sync::atomic::AtomicBool;

use super::*;

/// Answers with the version that was asked for; sends none of those named `alone`; ends in the middle when told to.
#[derive(Default)]
struct Echo {
    batches: Mutex<Vec<usize>>,
    orphans: Mutex<Vec<String>>,
    /// Another answer for each, as a store has that mixes them up.
    mixed_up: AtomicBool,
}

impl Work for Echo {
    type Ask = AcquireRequest;
    type Answer = String;

    async fn send(&self, asks: &[AcquireRequest]) -> Vec<Reply<String>> {
        self.batches.lock().unwrap().push(asks.len());
        let reply = |ask: &AcquireRequest| match ask.lock.key() {
            "alone" => Reply::Alone,
            _ => Reply::Answer(ask.version.clone()),
        };
        let mut replies: Vec<_> = asks.iter().map(reply).collect();
        if self.mixed_up.load(Ordering::Relaxed) {
            replies.reverse();
        }
        replies
    }

    async fn orphaned(&self, orphans: Vec<(AcquireRequest, String)>) {
        self.orphans.lock().unwrap().extend(orphans.into_iter().map(|(_, answer)| answer));
    }
}

type Lanes = Arc<Mutex<Vec<Lane<AcquireRequest, String>>>>;

/// A combiner whose lanes are run by hand.
fn combiner(limits: Limits) -> (Combiner<AcquireRequest, String>, Lanes) {
    let lanes = Lanes::default();
    let started = Arc::clone(&lanes);
    (Combiner::new(limits, move |lane| started.lock().unwrap().push(lane)), lanes)
}

fn ask(key: &str, version: &str) -> AcquireRequest {
    AcquireRequest {
        version: version.into(),
        owner: "o".into(),
        lease_ms: 1_000,
        ..AcquireRequest::new(LockId::mutex("t", key).unwrap())
    }
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn now<F: Future>(future: F) -> F::Output {
    match poll(pin!(future)) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("not ready"),
    }
}

fn gathered<A>(turn: Turn<'_, A>) -> Answer<A> {
    match turn {
        Turn::Gathered(answer) => answer,
        Turn::Direct(_) => panic!("went straight through"),
    }
}

fn run(lanes: &Lanes, work: &Arc<Echo>) {
    let lane = lanes.lock().unwrap().remove(0);
    now(lane.run(Arc::clone(work), || ready(())));
}

#[test]
fn few_go_straight_through_and_others_gather_meanwhile() {
    let (combiner, lanes) = combiner(Limits::default());
    let (one, two) = (combiner.enter(|| unreachable!()), combiner.enter(|| unreachable!()));
    assert!(matches!((&one, &two), (Turn::Direct(_), Turn::Direct(_))));
    let answers: Vec<_> =
        (0..5).map(|n| gathered(combiner.enter(|| ask(&format!("key {n}"), &n.to_string())))).collect();
    assert_eq!(lanes.lock().unwrap().len(), 1, "one lane takes all that gathers before it starts");
    let work = Arc::new(Echo::default());
    run(&lanes, &work);
    assert_eq!(*work.batches.lock().unwrap(), [5]);
    for (number, answer) in answers.into_iter().enumerate() {
        assert_eq!(now(answer), Some(Reply::Answer(number.to_string())));
    }
    drop((one, two));
    assert!(matches!(combiner.enter(|| unreachable!()), Turn::Direct(_)), "the lane has ended");
}

#[test]
fn a_store_that_mixes_up_its_answers_is_noticed_here_too() {
    let (combiner, lanes) = combiner(Limits { direct: 0, ..Limits::default() });
    let work = Arc::new(Echo { mixed_up: true.into(), ..Echo::default() });
    let one = gathered(combiner.enter(|| ask("one", "1")));
    let two = gathered(combiner.enter(|| ask("two", "2")));
    run(&lanes, &work);
    assert_eq!((now(one), now(two)), (Some(Reply::Answer("2".into())), Some(Reply::Answer("1".into()))));
}

#[test]
fn one_request_a_lock_and_limits_of_number_and_bytes() {
    let (combiner, lanes) = combiner(Limits { direct: 0, batch: 3, bytes: 100, ..Limits::default() });
    let twin = gathered(combiner.enter(|| ask("key", "1")));
    let second = gathered(combiner.enter(|| ask("key", "2")));
    let alone = gathered(combiner.enter(|| ask("alone", "3")));
    let others: Vec<_> = (0..4).map(|n| gathered(combiner.enter(|| ask(&format!("{n}"), "4")))).collect();
    let large =
        gathered(combiner.enter(|| AcquireRequest { data: Some("x".repeat(1_000)), ..ask("l", "5") }));
    let work = Arc::new(Echo::default());
    run(&lanes, &work);
    assert_eq!(now(twin), Some(Reply::Answer("1".into())));
    assert_eq!((now(second), now(alone)), (Some(Reply::Alone), Some(Reply::Alone)));
    assert!(others.into_iter().all(|answer| now(answer) == Some(Reply::Answer("4".into()))));
    assert_eq!(now(large), Some(Reply::Answer("5".into())));
    assert_eq!(*work.batches.lock().unwrap(), [3, 3, 1], "the large one goes by itself");
}

#[test]
fn who_goes_away_is_left_out_or_handed_over() {
    let (combiner, lanes) = combiner(Limits { direct: 0, ..Limits::default() });
    let work = Arc::new(Echo::default());
    drop(gathered(combiner.enter(|| ask("early", "early"))));
    let stays = gathered(combiner.enter(|| ask("stays", "stays")));
    let late = gathered(combiner.enter(|| ask("late", "late")));
    let mut lane = lanes.lock().unwrap().remove(0);
    let (asks, replies) = lane.take().unwrap();
    assert_eq!(asks.iter().map(|ask| ask.version.as_str()).collect::<Vec<_>>(), ["stays", "late"]);
    drop(late);
    let given_back: Vec<_> = replies
        .into_iter()
        .zip(&asks)
        .filter_map(|(reply, ask)| reply.send(Reply::Answer(ask.version.clone())))
        .collect();
    assert_eq!(given_back, [Reply::Answer("late".to_string())]);
    assert_eq!(now(stays), Some(Reply::Answer("stays".into())));
    assert!(lane.take().is_none());
    assert!(work.orphans.lock().unwrap().is_empty());
}

#[test]
fn releases_are_sent_for_callers_that_went_away() {
    let lanes: Arc<Mutex<Vec<Lane<ReleaseRequest, ()>>>> = Arc::default();
    let started = Arc::clone(&lanes);
    let limits = Limits { direct: 0, ..Limits::default() };
    let combiner = Combiner::new(limits, move |lane| started.lock().unwrap().push(lane));
    let lock = LockId::mutex("t", "one").unwrap();
    drop(gathered(combiner.enter(|| ReleaseRequest {
        mutex_key: "one".into(),
        version: "1".into(),
        delete: false,
        data: None,
        lock,
    })));
    assert_eq!(lanes.lock().unwrap().remove(0).take().unwrap().0.len(), 1);
}

/// The task was aborted: nobody waits for ever, and the next one starts another.
#[test]
fn a_lane_that_is_dropped_tells_that_the_outcome_is_unknown() {
    let (combiner, lanes) = combiner(Limits { direct: 0, lanes: 1, ..Limits::default() });
    let sent = gathered(combiner.enter(|| ask("sent", "1")));
    let mut lane = lanes.lock().unwrap().remove(0);
    let batch = lane.take();
    let waiting = gathered(combiner.enter(|| ask("waiting", "2")));
    drop((batch, lane));
    assert_eq!((now(sent), now(waiting)), (None, None));
    let next = gathered(combiner.enter(|| ask("next", "3")));
    run(&lanes, &Arc::default());
    assert_eq!(now(next), Some(Reply::Answer("3".into())));
}

#[test]
fn more_than_may_gather_go_straight_through() {
    let (combiner, _lanes) = combiner(Limits { direct: 0, queue: 2, ..Limits::default() });
    let _waiting = [gathered(combiner.enter(|| ask("1", "1"))), gathered(combiner.enter(|| ask("2", "2")))];
    assert!(matches!(combiner.enter(|| unreachable!()), Turn::Direct(_)));
}

#[test]
fn two_lanes_and_no_more() {
    let (combiner, lanes) = combiner(Limits { direct: 0, ..Limits::default() });
    let mut taken = Vec::new();
    for number in 0..4 {
        let _gone = gathered(combiner.enter(|| ask(&format!("{number}"), "1")));
        let mut lanes = lanes.lock().unwrap();
        for lane in lanes.iter_mut().skip(taken.len()) {
            // It is on its way with what there is.
            taken.push(lane.take());
        }
    }
    assert_eq!(lanes.lock().unwrap().len(), 2);
}
