"""Large and licensed tables, as their issuers hand them out → CodeSystem and ConceptMap, each edition beside the others."""
