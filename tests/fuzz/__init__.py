"""The whole OpenAPI under whatever schemathesis thinks of."""
