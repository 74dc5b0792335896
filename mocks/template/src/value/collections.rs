//! Lists and maps: shared, cheap to clone, and aware of how deep they are nested.
//!
//! The depth is kept so that a template that wraps a value in itself over and over is stopped
//! before printing or dropping the result would overflow the stack.

use std::ops::Deref;
use std::sync::Arc;

use super::Value;

/// A list of values. Clones share the elements.
///
/// ```
/// use api_mock_template::{List, Value};
/// let list: List = [1, 2, 3].into_iter().collect();
/// assert_eq!(list.len(), 3);
/// assert_eq!(Value::from(list).to_string(), "[1 2 3]");
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct List(Arc<ListInner>);

#[derive(Debug, Default, PartialEq)]
struct ListInner {
    depth: usize,
    items: Vec<Value>,
}

impl List {
    pub(super) fn depth(&self) -> usize {
        self.0.depth
    }
}

impl Deref for List {
    type Target = [Value];

    fn deref(&self) -> &[Value] {
        &self.0.items
    }
}

impl From<Vec<Value>> for List {
    fn from(items: Vec<Value>) -> Self {
        let depth = 1 + items.iter().map(Value::depth).max().unwrap_or(0);
        List(Arc::new(ListInner { depth, items }))
    }
}

impl<V: Into<Value>> FromIterator<V> for List {
    fn from_iter<I: IntoIterator<Item = V>>(iter: I) -> Self {
        List::from(iter.into_iter().map(Into::into).collect::<Vec<Value>>())
    }
}

/// A map from strings to values, kept sorted by the bytes of its keys, which is the order in which
/// templates visit and print it. Clones share the entries.
///
/// ```
/// use api_mock_template::{Map, Value};
/// let map: Map = [("b", 2), ("a", 1)].into_iter().collect();
/// assert_eq!(map.get("b"), Some(&Value::Int(2)));
/// assert_eq!(map.keys().collect::<Vec<_>>(), ["a", "b"]);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Map(Arc<MapInner>);

#[derive(Clone, Debug, Default, PartialEq)]
struct MapInner {
    depth: usize,
    entries: Vec<(Arc<str>, Value)>,
}

/// Up to here comparing lengths one after the other is faster than a binary search.
const SMALL: usize = 16;

impl Map {
    /// An empty map.
    #[must_use]
    pub fn new() -> Self {
        Map::default()
    }

    /// The number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.entries.len()
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.entries.is_empty()
    }

    /// The value of `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        let entries = &self.0.entries;
        if entries.len() <= SMALL {
            let first = key.as_bytes().first();
            let same = |(name, _): &&(Arc<str>, Value)| {
                name.len() == key.len() && name.as_bytes().first() == first && **name == *key
            };
            return entries.iter().find(same).map(|(_, value)| value);
        }
        let at = entries.binary_search_by(|(name, _)| (**name).cmp(key)).ok()?;
        entries.get(at).map(|(_, value)| value)
    }

    /// Whether there is an entry `key`, be it nil.
    #[must_use]
    pub fn contains_key(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Sets `key` to `value` and gives back what stood there. Copies the entries first if they
    /// are shared. Costs time linear in the size of the map; many entries are better collected
    /// from an iterator.
    pub fn insert(&mut self, key: impl Into<Arc<str>>, value: impl Into<Value>) -> Option<Value> {
        let (key, value) = (key.into(), value.into());
        let inner = Arc::make_mut(&mut self.0);
        inner.depth = inner.depth.max(1 + value.depth());
        match inner.entries.binary_search_by(|(name, _)| (**name).cmp(&*key)) {
            Ok(at) => inner.entries.get_mut(at).map(|entry| std::mem::replace(&mut entry.1, value)),
            Err(at) => {
                inner.entries.insert(at, (key, value));
                None
            }
        }
    }

    /// The entries in the order of their keys.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.0.entries.iter().map(|(key, value)| (&**key, value))
    }

    /// The keys in order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.entries.iter().map(|(key, _)| &**key)
    }

    /// The values in the order of their keys.
    pub fn values(&self) -> impl ExactSizeIterator<Item = &Value> {
        self.0.entries.iter().map(|(_, value)| value)
    }

    pub(super) fn depth(&self) -> usize {
        self.0.depth
    }

    /// The entry at a position of the sorted order.
    pub(crate) fn entry_at(&self, at: usize) -> Option<(&Arc<str>, &Value)> {
        self.0.entries.get(at).map(|(key, value)| (key, value))
    }
}

/// The last of several entries with one key wins.
impl<K: Into<Arc<str>>, V: Into<Value>> FromIterator<(K, V)> for Map {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(iter: I) -> Self {
        let mut entries: Vec<(Arc<str>, Value)> =
            iter.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        // The sort is stable, so of equal keys the last one given is the last one here too.
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        entries.dedup_by(|later, kept| {
            let same = later.0 == kept.0;
            if same {
                std::mem::swap(&mut later.1, &mut kept.1);
            }
            same
        });
        let depth = 1 + entries.iter().map(|(_, value)| value.depth()).max().unwrap_or(0);
        Map(Arc::new(MapInner { depth, entries }))
    }
}
