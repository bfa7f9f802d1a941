import { useState } from "react";
import { useText } from "../../i18n/text.ts";
import { Disclosure } from "../../ui/disclosure.tsx";
import { Field, Select, TextArea, TextInput } from "../../ui/field.tsx";
import { Segmented } from "../../ui/segmented.tsx";
import { SettingRow, Switch } from "../../ui/switch.tsx";
import { SecretField } from "../upstreams/secret-field.tsx";
import type { SecretSupport } from "../upstreams/secrets.ts";
import type { ShareField, ShareForm } from "./form.ts";
import formStyles from "../../ui/form.module.css";
import styles from "./share.module.css";

export interface ShareFieldsProps {
  readonly form: ShareForm;
  readonly before: ShareForm | undefined;
  readonly addresses: Readonly<Record<string, string>>;
  readonly support: SecretSupport | undefined;
  readonly errorOf: (field: ShareField) => string | undefined;
  readonly onChange: (changes: Partial<ShareForm>) => void;
  readonly onLeave: (field: ShareField) => void;
}

type TextField = Exclude<ShareField, "password" | "token" | "inspect">;

export function ShareFields(props: ShareFieldsProps) {
  const { form, before, addresses, onChange } = props;
  const words = useText().share.editor;
  const relays = Object.keys(addresses);
  return (
    <>
      <div className={formStyles["kind"]}>
        <Segmented
          label={words.kind}
          value={form.kind}
          options={[
            { value: "http", label: "HTTP" },
            { value: "tcp", label: "TCP" },
          ]}
          onChange={(kind) => onChange({ kind })}
        />
        <p>{words.what[form.kind]}</p>
      </div>
      <div className={formStyles["pair"]}>
        <Text {...props} field="name" placeholder="shop" hint={words.nameHint} first={before === undefined} />
        <Text {...props} field="target" placeholder="3000" hint={words.targetHint} mono />
      </div>
      {form.kind === "http" ? (
        <Text
          {...props}
          field="publicName"
          placeholder="shop"
          mono
          optional
          hint={form.publicName.trim() === "" ? words.noPublicName : words.publicNameHint}
        />
      ) : (
        <Text {...props} field="port" placeholder="25432" hint={words.portHint} optional />
      )}
      <Field label={words.fields.relay} error={props.errorOf("relay")}>
        {(control) => (
          <Select
            {...control}
            value={form.relay}
            onChange={({ target }) => onChange({ relay: target.value })}
          >
            {relays.map((relay) => (
              <option key={relay} value={relay}>
                {relay} ({addresses[relay]})
              </option>
            ))}
            <option value="">{words.newRelay}</option>
          </Select>
        )}
      </Field>
      {form.relay === "" && <NewRelay {...props} />}
      <More {...props} />
    </>
  );
}

function NewRelay(props: ShareFieldsProps) {
  const { onChange } = props;
  const words = useText().share.editor;
  return (
    <div className={styles["nested"]}>
      <div className={formStyles["pair"]}>
        <Text {...props} field="relayName" placeholder="home" />
        <Text
          {...props}
          field="relayAddress"
          placeholder="relay.example.com"
          hint={words.relayAddressHint}
          mono
        />
      </div>
      <Secret {...props} field="token" hint={words.tokenHint} onChange={(token) => onChange({ token })} />
      <Text {...props} field="relayCa" hint={words.relayCaHint} mono optional />
    </div>
  );
}

function More(props: ShareFieldsProps) {
  const { form, onChange, errorOf } = props;
  const words = useText().share.editor;
  const isHttp = form.kind === "http";
  const set = [
    form.allow.trim() !== "",
    isHttp && form.username !== "",
    isHttp && form.host_header !== "",
    isHttp && form.offline_page !== "",
    isHttp && !form.inspect,
  ].filter(Boolean).length;
  const [open, setOpen] = useState(set > 0);
  return (
    <Disclosure
      label={words.more}
      note={set > 0 ? words.moreSet(set) : undefined}
      open={open}
      onToggle={setOpen}
    >
      <p className={styles["hint"]}>{words.guardHint}</p>
      {isHttp && (
        <div className={formStyles["pair"]}>
          <Text {...props} field="username" optional />
          <Secret {...props} field="password" onChange={(password) => onChange({ password })} />
        </div>
      )}
      <Field label={words.fields.allow} hint={words.allowHint} error={errorOf("allow")}>
        {(control) => (
          <TextArea
            {...control}
            rows={3}
            value={form.allow}
            maxLength={8_192}
            placeholder={"192.0.2.0/24\n2001:db8::/32"}
            onChange={({ target }) => onChange({ allow: target.value })}
            onBlur={() => props.onLeave("allow")}
          />
        )}
      </Field>
      {isHttp && (
        <>
          <Text
            {...props}
            field="host_header"
            placeholder="localhost:3000"
            hint={words.hostHint}
            mono
            optional
          />
          <Text
            {...props}
            field="offline_page"
            placeholder="~/away.html"
            hint={words.offlineHint}
            mono
            optional
          />
          <SettingRow label={words.fields.inspect} hint={words.inspectHint}>
            {(ids) => (
              <Switch {...ids} checked={form.inspect} onChange={(inspect) => onChange({ inspect })} />
            )}
          </SettingRow>
        </>
      )}
    </Disclosure>
  );
}

function Text({
  form,
  field,
  placeholder,
  hint,
  mono,
  optional,
  first,
  errorOf,
  onChange,
  onLeave,
}: ShareFieldsProps & {
  readonly field: TextField;
  readonly placeholder?: string;
  readonly hint?: string;
  readonly mono?: boolean;
  readonly optional?: boolean;
  readonly first?: boolean;
}) {
  const text = useText();
  return (
    <Field
      label={text.share.editor.fields[field]}
      hint={hint}
      error={errorOf(field)}
      {...(optional === true && { note: text.common.optional })}
    >
      {(control) => (
        <TextInput
          {...control}
          value={form[field]}
          maxLength={1_024}
          placeholder={placeholder}
          mono={mono === true}
          data-first-focus={first === true || undefined}
          onChange={({ target }) => onChange({ [field]: target.value })}
          onBlur={() => {
            // A field that was only passed on the way says nothing yet.
            if (form[field] !== "") onLeave(field);
          }}
        />
      )}
    </Field>
  );
}

function Secret({
  form,
  before,
  field,
  hint,
  support,
  errorOf,
  onChange,
}: Omit<ShareFieldsProps, "onChange"> & {
  readonly field: "password" | "token";
  readonly hint?: string;
  readonly onChange: (secret: ShareForm["password"]) => void;
}) {
  const words = useText().share.editor;
  const secret = form[field];
  const inFile = secret.kind === "typed" && secret.text !== "" && support?.keychain === false;
  return (
    <SecretField
      label={words.fields[field]}
      hint={inFile ? words.keptInFile : hint}
      secret={secret}
      before={before?.[field]}
      error={errorOf(field)}
      mayAsk={false}
      keeping={{ support, choice: undefined, missing: false, choose: () => {} }}
      onChange={onChange}
    />
  );
}
