use crate::callsite::CallSite;
use crate::red::Cells;
use std::sync::Arc;
pub(crate) struct Store;
impl Store {
    pub(crate) fn cells(&self, _: &'static CallSite) -> Arc<Cells> {
        Arc::new(Cells::new())
    }
    pub(crate) fn scoped_cells(_: &'static CallSite) -> Option<Arc<Cells>> {
        None
    }
}
