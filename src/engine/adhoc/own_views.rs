//! Views that live as long as a session: the one thing that ad-hoc SQL may create.

use std::sync::Arc;

use datafusion::datasource::ViewTable;
use datafusion::sql::sqlparser::ast::{Ident, Query};

use super::{Console, Outcome};
use crate::engine::SqlSource;
use crate::engine::scope::same;
use crate::error::{Result, did_you_mean};

impl Console {
    pub(super) async fn create_view(
        &mut self,
        source: &SqlSource,
        name: &Ident,
        or_replace: bool,
        query: Box<Query>,
    ) -> Result<Outcome> {
        let known = &self.session.relations.columns;
        let own = self.own_views.iter().find(|(own, _)| same(name, own));
        if own.is_none() && known.iter().any(|(known, _)| same(name, known)) {
            return Err(source
                .error_at(
                    name.span.start,
                    format!("`{}` is there already", name.value),
                )
                .hint("choose another name; what the lake has is not replaced"));
        }
        if own.is_some() && !or_replace {
            return Err(source
                .error_at(
                    name.span.start,
                    format!("there is a view `{}` already", name.value),
                )
                .hint("CREATE OR REPLACE VIEW takes its place"));
        }
        let plan = self.logical(source, query, None).await?;
        let old = own_name(&self.own_views, name);
        if let Some(old) = old {
            self.forget(&old);
        }
        let view = Arc::new(ViewTable::new(plan, None));
        self.register(&name.value, view)?;
        self.own_views.push((name.value.clone(), source.clone()));
        Ok(Outcome::Said(format!(
            "view `{}` is there until this session ends",
            name.value
        )))
    }

    pub(super) fn drop_view(
        &mut self,
        source: &SqlSource,
        name: &Ident,
        if_exists: bool,
    ) -> Result<Outcome> {
        match own_name(&self.own_views, name) {
            Some(own) => {
                self.forget(&own);
                Ok(Outcome::Said(format!("view `{own}` is gone")))
            }
            None if if_exists => Ok(Outcome::Said(String::new())),
            None => {
                let message = format!("there is no view `{}` of this session", name.value);
                let own = self.own_views.iter().map(|(own, _)| own.as_str());
                Err(source
                    .error_at(name.span.start, message)
                    .maybe_hint(did_you_mean(&name.value, own)))
            }
        }
    }

    fn forget(&mut self, view: &str) {
        // It was registered by create_view.
        let _ = self.session.context.deregister_table(view);
        self.own_views.retain(|(own, _)| own != view);
        self.session
            .relations
            .columns
            .retain(|(known, _)| known != view);
    }
}

fn own_name(own: &[(String, SqlSource)], name: &Ident) -> Option<String> {
    let found = own.iter().find(|(own, _)| same(name, own));
    found.map(|(own, _)| own.clone())
}
