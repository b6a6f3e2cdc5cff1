use super::super::task::{Chain, Link, Task};
use super::{Injector, SHARE_MAX};

fn tasks(links: &[Link]) -> Vec<Task> {
    // SAFETY: the links outlive the test's queues, and each test queues each task once at a time.
    let task = |link: &Link| unsafe { Task::from_raw(link.into()) };
    links.iter().map(task).collect()
}

fn links(n: usize) -> Vec<Link> {
    (0..n).map(|_| Link::new()).collect()
}

#[test]
fn tasks_come_out_in_the_order_they_went_in() {
    let links = links(100);
    let tasks = tasks(&links);
    let injector = Injector::new();
    for (i, &task) in tasks[..50].iter().enumerate() {
        assert_eq!(injector.push(task), i + 1);
    }
    let mut chain = Chain::one(tasks[50]);
    for &task in &tasks[51..] {
        chain.push_back(task);
    }
    assert_eq!(injector.push_chain(chain), 100);

    let mut out = vec![injector.pop().unwrap()];
    out.extend(injector.take_share(10).unwrap());
    assert_eq!(out.len(), 1 + 99 / 10 + 1);
    out.extend(injector.take_all().unwrap());
    assert_eq!(out, tasks);
    assert_eq!(injector.len(), 0);
    assert!(injector.pop().is_none() && injector.take_share(1).is_none());
}

#[test]
fn a_share_is_fair_and_bounded() {
    let links = links(1000);
    let injector = Injector::new();
    for task in tasks(&links) {
        injector.push(task);
    }
    assert_eq!(injector.take_share(1).unwrap().len(), SHARE_MAX);
    assert_eq!(injector.len(), 1000 - SHARE_MAX);
    let share = injector.take_share(100).unwrap();
    assert_eq!(share.len(), (1000 - SHARE_MAX) / 100 + 1);
    assert_eq!(share.into_iter().count(), 10);
}

#[test]
fn the_last_task_leaves_an_empty_queue_that_works_again() {
    let links = links(2);
    let tasks = tasks(&links);
    let injector = Injector::new();
    for _ in 0..3 {
        injector.push(tasks[0]);
        injector.push(tasks[1]);
        assert_eq!(
            injector
                .take_share(1)
                .unwrap()
                .into_iter()
                .collect::<Vec<_>>(),
            tasks
        );
        assert_eq!(injector.len(), 0);
    }
}
