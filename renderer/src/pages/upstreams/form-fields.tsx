import { type ReactNode, useState } from "react";
import { useText } from "../../i18n/text.ts";
import { Field, Select, TextArea, TextInput } from "../../ui/field.tsx";
import { SettingRow, Switch } from "../../ui/switch.tsx";
import type { FieldName, SecretName, UpstreamForm, ValueName } from "./form.ts";
import { type KeepingState, SecretField } from "./secret-field.tsx";

/** The form that a field is one of. */
export interface InForm {
  readonly form: UpstreamForm;
  readonly before: UpstreamForm | undefined;
  readonly errorOf: (field: FieldName) => string | undefined;
  readonly keeping: KeepingState;
  readonly onChange: (form: UpstreamForm, field: FieldName) => void;
  /** The focus has gone on: from here on the field is judged. */
  readonly onLeave: (field: FieldName) => void;
}

type OneField<Name extends ValueName> = InForm & {
  readonly name: Name;
  readonly hint?: ReactNode;
  readonly placeholder?: string | undefined;
};

/** A field's value, and what changes it. */
function valueOf({ form, name, onChange }: OneField<ValueName>) {
  return {
    value: form.values[name] ?? "",
    set: (value: string) => onChange({ ...form, values: { ...form.values, [name]: value } }, name),
  };
}

/** Addresses, paths and numbers are easier to check in letters of one width. */
export function ValueField(props: OneField<ValueName>) {
  const { name, hint, placeholder, errorOf, onLeave } = props;
  const words = useText().upstreams.editor;
  const { value, set } = valueOf(props);
  return (
    <Field label={words.fields[name]} hint={hint} error={errorOf(name)}>
      {(control) => (
        <TextInput
          {...control}
          mono={name !== "user" && name !== "username"}
          value={value}
          maxLength={1024}
          placeholder={placeholder}
          onChange={({ target }) => set(target.value)}
          onBlur={() => onLeave(name)}
        />
      )}
    </Field>
  );
}

/** One of several. @param options values with their words; the first is what is without a choice. */
export function ChoiceField(
  props: OneField<ValueName> & { readonly options: readonly (readonly [value: string, label: string])[] },
) {
  const { name, hint, options, errorOf } = props;
  const words = useText().upstreams.editor;
  const { value, set } = valueOf(props);
  return (
    <Field label={words.fields[name]} hint={hint} error={errorOf(name)}>
      {(control) => (
        <Select {...control} value={value} onChange={({ target }) => set(target.value)}>
          {options.map(([one, label]) => (
            <option key={one} value={one}>
              {label}
            </option>
          ))}
        </Select>
      )}
    </Field>
  );
}

export function LinesField(props: OneField<"identity_file" | "known_hosts_file">) {
  const { name, hint, placeholder, errorOf } = props;
  const words = useText().upstreams.editor;
  const { value, set } = valueOf(props);
  return (
    <Field label={words.fields[name]} hint={hint} error={errorOf(name)}>
      {(control) => (
        <TextArea
          {...control}
          rows={Math.min(6, Math.max(1, value.split("\n").length))}
          value={value}
          maxLength={8192}
          placeholder={placeholder}
          onChange={({ target }) => set(target.value)}
        />
      )}
    </Field>
  );
}

export function BooleanField(props: OneField<"ssh_config" | "udp" | "tls"> & { readonly usually: boolean }) {
  const { name, hint, usually, errorOf } = props;
  const words = useText().upstreams.editor;
  const { value, set } = valueOf(props);
  return (
    <SettingRow label={words.fields[name]} hint={hint} error={errorOf(name)}>
      {(ids) => (
        <Switch
          {...ids}
          checked={value === "" ? usually : value === "true"}
          onChange={(checked) => set(checked === usually ? "" : String(checked))}
        />
      )}
    </SettingRow>
  );
}

/** The agent: the usual one, none, or one at a socket that is named. */
export function AgentField(props: InForm) {
  const { errorOf } = props;
  const words = useText().upstreams.editor;
  const { value, set } = valueOf({ ...props, name: "agent" });
  const [socket, setSocket] = useState(value !== "" && value !== "false");
  const choice = socket ? "socket" : value === "false" ? "none" : "default";
  return (
    <>
      <Field label={words.fields.agent} error={socket ? undefined : errorOf("agent")}>
        {(control) => (
          <Select
            {...control}
            value={choice}
            onChange={({ target }) => {
              setSocket(target.value === "socket");
              set(target.value === "none" ? "false" : "");
            }}
          >
            {(["default", "none", "socket"] as const).map((one) => (
              <option key={one} value={one}>
                {words.agents[one]}
              </option>
            ))}
          </Select>
        )}
      </Field>
      {socket && (
        <Field label={words.agentSocket} error={errorOf("agent")}>
          {(control) => (
            <TextInput
              {...control}
              mono
              value={value}
              maxLength={1024}
              onChange={({ target }) => set(target.value)}
            />
          )}
        </Field>
      )}
    </>
  );
}

export function FormSecret({
  form,
  before,
  kind,
  hint,
  errorOf,
  keeping,
  onChange,
}: InForm & { readonly kind: SecretName; readonly hint?: string }) {
  return (
    <SecretField
      label={useText().upstreams.editor.fields[kind]}
      hint={hint}
      secret={form.secrets[kind]}
      before={before?.secrets[kind]}
      error={errorOf(kind)}
      keeping={keeping}
      mayAsk={form.type === "ssh"}
      onChange={(next) => onChange({ ...form, secrets: { ...form.secrets, [kind]: next } }, kind)}
    />
  );
}
