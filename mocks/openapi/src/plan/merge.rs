//! All that several schemas want of one value, put together.

use serde_json::Value;

use crate::schema::{
    ArrayRules, Discriminator, NumberRules, ObjectRules, Schema, SchemaId, Schemas, StringRules, Types, Xml,
};

/// One of several schemas has to be chosen.
#[derive(Clone, Copy)]
pub(super) struct Alternatives<'s> {
    /// The schema that says so, and whether exactly one has to fit.
    pub(super) key: (SchemaId, bool),
    pub(super) branches: &'s [SchemaId],
    pub(super) discriminator: Option<&'s Discriminator>,
}

/// A choice that was made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Chosen {
    pub(super) key: (SchemaId, bool),
    pub(super) branch: SchemaId,
}

/// What a value has to be like.
#[derive(Default)]
pub(super) struct Merged<'s> {
    pub(super) types: Types,
    pub(super) never: bool,
    /// The lists of values, each of which must have it.
    pub(super) allowed: Vec<&'s [Value]>,
    pub(super) constants: Vec<&'s Value>,
    pub(super) examples: Vec<&'s Value>,
    pub(super) default: Option<&'s Value>,
    pub(super) strings: Vec<&'s StringRules>,
    pub(super) numbers: Vec<&'s NumberRules>,
    pub(super) arrays: Vec<&'s ArrayRules>,
    pub(super) objects: Vec<&'s ObjectRules>,
    pub(super) open: Option<Alternatives<'s>>,
    /// Members that tell of which schema an object is.
    pub(super) told: Vec<(&'s str, String)>,
    /// Schemas that it must not be like, since it is like another one.
    pub(super) refused: Vec<SchemaId>,
    /// There are rules that generating does not follow by itself.
    pub(super) uncertain: bool,
    pub(super) xml: Option<&'s Xml>,
    pub(super) name: Option<&'s str>,
}

impl<'s> Merged<'s> {
    /// Puts together what the schemas want, those included that they refer to.
    pub(super) fn of(schemas: &'s Schemas, ids: &[SchemaId], chosen: &[Chosen]) -> Merged<'s> {
        let mut merged = Merged::default();
        let mut seen: Vec<SchemaId> = Vec::new();
        let mut stack: Vec<SchemaId> = ids.iter().rev().copied().collect();
        while let Some(id) = stack.pop() {
            if seen.contains(&id) || seen.len() > 500 {
                continue;
            }
            seen.push(id);
            let schema = schemas.get(id);
            merged.add(schema);
            if let Some(logic) = &schema.logic {
                merged.logic(schemas, id, schema, ids, chosen);
                stack.extend(logic.all_of.iter().rev());
            }
            // Members that are known are generated, and with them come the schemas that depend on them.
            let dependent = schema.object.iter().flat_map(|rules| {
                let known = rules.dependent_schemas.iter().filter(|(name, _)| rules.property(name).is_some());
                known.map(|(_, id)| *id)
            });
            stack.extend(dependent);
            stack.extend(schema.reference);
        }
        merged
    }

    fn add(&mut self, schema: &'s Schema) {
        self.never |= schema.never;
        match self.types.and(schema.types) {
            Some(types) => self.types = types,
            None => self.never = true,
        }
        if let Some(values) = &schema.values {
            self.allowed.extend(values.enumeration.as_deref());
            self.constants.extend(&values.constant);
            self.examples.extend(&values.examples);
            self.default = self.default.or(values.default.as_ref());
        }
        self.strings.extend(schema.string.as_deref());
        self.numbers.extend(schema.number.as_deref());
        self.arrays.extend(schema.array.as_deref());
        self.objects.extend(schema.object.as_deref());
        self.xml = self.xml.or(schema.xml.as_deref());
        self.name = self.name.or(schema.name.as_deref());
    }

    fn logic(
        &mut self,
        schemas: &Schemas,
        id: SchemaId,
        schema: &'s Schema,
        ids: &[SchemaId],
        chosen: &[Chosen],
    ) {
        let Some(logic) = &schema.logic else { return };
        self.uncertain |= logic.not.is_some() || logic.condition.is_some() || !logic.one_of.is_empty();
        let discriminator = logic.discriminator.as_ref();
        for (branches, one) in [(&logic.one_of, true), (&logic.any_of, false)] {
            if branches.is_empty() {
                continue;
            }
            let made = chosen.iter().find(|made| made.key == (id, one));
            if let (true, Some(made)) = (one, made) {
                self.refused.extend(branches.iter().filter(|branch| **branch != made.branch));
            }
            match (made, discriminator) {
                (None, _) => {
                    let open = Alternatives { key: (id, one), branches, discriminator };
                    self.open = self.open.or(Some(open));
                }
                (Some(made), Some(discriminator)) => {
                    let value = discriminator.mapping.iter().find(|(_, branch)| *branch == made.branch);
                    self.told.extend(value.map(|(value, _)| (&*discriminator.property, value.to_string())));
                }
                (Some(_), None) => {}
            }
        }
        // A schema that others build upon: they say by their names which they are.
        let base = logic.one_of.is_empty() && logic.any_of.is_empty() && !ids.contains(&id);
        if let (true, Some(discriminator)) = (base, discriminator) {
            let mapped = discriminator.mapping.iter().find(|(_, target)| ids.contains(target));
            let named = ids.iter().find_map(|id| schemas.name(*id)).map(str::to_owned);
            let value = mapped.map(|(value, _)| value.to_string()).or(named);
            self.told.extend(value.map(|value| (&*discriminator.property, value)));
        }
    }
}
