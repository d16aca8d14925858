use super::Context;
use crate::report::Section;
pub fn run(_: &Context) -> Section {
    unimplemented!()
}
