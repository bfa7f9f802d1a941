/** The languages that the interface has. */
export type Language = "en" | "de";
