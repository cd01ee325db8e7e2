//! One short way to write a function's documentation, so that the reference page can be generated from the registry.
//! It must not know any function.

use datafusion::logical_expr::{DocSection, Documentation};

/// What a function's reference entry says. Every function has one, with an example that runs.
pub(super) struct Entry {
    /// The chapter of the reference: `Text`, `Time`, `Aggregates`, ...
    pub section: &'static str,
    /// Meaning, result type, and what happens on NULL.
    pub description: &'static str,
    /// How it is called: `base_name(path)`.
    pub syntax: &'static str,
    /// A query and, in a comment, what it gives.
    pub example: &'static str,
    /// Name and meaning of every argument.
    pub arguments: &'static [(&'static str, &'static str)],
}

impl Entry {
    /// The entry in `DataFusion`'s own form.
    pub(super) fn build(&self) -> Documentation {
        let section = DocSection {
            include: true,
            label: self.section,
            description: None,
        };
        let mut builder = Documentation::builder(section, self.description, self.syntax)
            .with_sql_example(self.example);
        for (name, meaning) in self.arguments {
            builder = builder.with_argument(*name, *meaning);
        }
        builder.build()
    }
}
