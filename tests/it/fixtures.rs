//! Every shipped fixture, by the code behind `lakehunt test`. What that command says and writes is tested in
//! `test_command.rs`, what makes a fixture in `src/hunt/fixture`.

mod vectors;

use std::path::Path;

use lakehunt::commands::test::{Suite, Verdict};
use lakehunt::hunt::{Content, Library};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn content() -> Content {
    Content::read(&root().join("sql")).unwrap()
}

#[test]
fn every_fixture_gives_what_it_says_and_every_stable_hunt_has_one() {
    let content = content();
    let library = Library::load(&content);
    let suite = Suite::open(&content, &library, &[]).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let outcomes = suite.run(runtime.handle(), false).unwrap();
    let mut passed = 0;
    let mut wrong = Vec::new();
    for outcome in &outcomes {
        match &outcome.verdict {
            Verdict::Passed => passed += 1,
            Verdict::NoFixture => {}
            Verdict::Failed(problems) => {
                let said = problems
                    .iter()
                    .map(|what| format!("{}: {what}", outcome.inside));
                wrong.extend(said);
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert!(passed > 0 && outcomes.len() >= library.iter().count());
}
