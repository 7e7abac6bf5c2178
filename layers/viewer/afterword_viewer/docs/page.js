"use strict";

// Addresses are relative, so that the page works below a path of a custom domain, too.
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#api",
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  filter: true,
  showExtensions: false,
  validatorUrl: null, // nothing is sent to anybody else
});
